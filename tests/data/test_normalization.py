"""The user's mean and deviation, against torchvision and plain arithmetic."""

import numpy as np
import pytest
import torch
from torchvision import transforms
from torchvision.transforms import functional

from pathfinder import PathfinderError, Split, load_data
from pathfinder.data.augment import apply_moves, draw_moves
from pathfinder.data.normalization import describe_normalization, normalization_of
from pathfinder.data.settings import Data

MEAN, STD = (125.3 / 255, 123.0 / 255, 113.9 / 255), (63.0 / 255, 62.1 / 255, 66.7 / 255)


@pytest.fixture
def images(tmp_path):
    """A file of random images (channels last), its name as data, and its training pixels."""

    def made(channels=3, dtype=np.uint8):
        x = np.random.default_rng(0).integers(0, 256, (40, 6, 5, channels)).astype(dtype)
        y = np.arange(40) % 4
        np.savez(tmp_path / "images.npz", x_train=x, y_train=y, x_test=x[:12], y_test=y[:12])
        return f"npz:{tmp_path / 'images.npz'}", x

    return made


def by_torchvision(pixels, mean, std):
    prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    return torch.stack([prepare(image) for image in pixels])


@pytest.mark.parametrize("given", [(MEAN, STD), (0.5, 0.25), ("none", "none")], ids=["channels", "number", "none"])
def test_images_are_normalised_as_torchvision_does(images, given):
    name, pixels = images()
    data = load_data(name, mean=given[0], std=given[1])
    mean, std = {"none": (0.0, 1.0)}.get(given[0], given) if isinstance(given[0], str) else given
    wanted = by_torchvision(pixels, *([m] * 3 if isinstance(m, float) else m for m in (mean, std)))
    assert torch.allclose(next(data["train"].batches(40))[0], wanted, rtol=0, atol=1e-6)
    assert torch.allclose(next(data["test"].batches(12))[0], wanted[:12], rtol=0, atol=1e-6)


def test_training_crops_black_before_it_normalises_as_torchvision_does(images):
    name, pixels = images()
    split = load_data(name, mean=MEAN, std=STD, crop=2, flip=True)["train"]
    moves = draw_moves(np.random.default_rng(0), 40, 2, True)
    found = split.batch(slice(None), moves)[0]
    for image, (down, right, mirrored), prepared in zip(pixels, moves.tolist(), found, strict=True):
        moved = functional.crop(functional.pad(functional.to_pil_image(image), 2), down, right, 6, 5)
        moved = functional.hflip(moved) if mirrored else moved
        wanted = functional.normalize(functional.to_tensor(moved), MEAN, STD)
        assert torch.allclose(prepared, wanted, rtol=0, atol=1e-6)
    black = (torch.zeros(3) - torch.tensor(MEAN)) / torch.tensor(STD)
    corner = split.batch(slice(0, 1), torch.tensor([[0, 0, 0]]))[0][0, :, 0, 0]
    assert torch.allclose(corner, black, rtol=0, atol=1e-6)
    assert apply_moves(split.x, moves, 2).dtype == torch.uint8


def test_all_ways_to_write_a_mean_and_a_deviation_give_the_same_split(images):
    name, _ = images()
    ways = [
        (MEAN, STD),
        (list(MEAN), list(STD)),
        (np.array(MEAN), np.array(STD)),
        (torch.tensor(MEAN, dtype=torch.float64), torch.tensor(STD, dtype=torch.float64).view(3, 1, 1)),
        (",".join(map(repr, MEAN)), ", ".join(map(repr, STD))),
    ]
    found = {load_data(name, mean=mean, std=std)["train"].digest for mean, std in ways}
    found |= {Data.parse({"name": name, "mean": mean, "std": std}).load()["train"].digest for mean, std in ways}
    assert len(found) == 1
    same = {load_data(name, mean=mean, std=0.25)["train"].digest for mean in (0.5, [0.5], "0.5", [0.5] * 3)}
    assert len(same) == 1


def test_fingerprints_change_with_the_normalisation_and_only_then(images):
    name, _ = images()
    plain = load_data(name)
    assert load_data(name, mean="data", std="data")["train"].digest == plain["train"].digest
    others = [("none", "none"), (MEAN, STD), (MEAN, 0.25), (0.5, 0.25)]
    found = [load_data(name, mean=mean, std=std)["test"].digest for mean, std in others]
    assert len({plain["test"].digest, *found}) == 5
    own = [plain["train"].mean.tolist(), plain["train"].std.tolist()]
    assert load_data(name, mean=own[0], std=own[1])["train"].digest == plain["train"].digest


def test_settings_without_a_normalisation_are_recorded_as_before(images):
    name, _ = images()
    assert Data(name=name).model_dump(exclude_defaults=True) == {"name": name}
    given = Data.parse({"name": name, "mean": "0.5,0.4,0.3", "std": 0.25})
    assert given.model_dump(exclude_defaults=True) == {"name": name, "mean": (0.5, 0.4, 0.3), "std": 0.25}


def test_validation_and_grey_images_take_the_normalisation_too(images):
    name, pixels = images(channels=1)
    data = load_data(name, mean=0.13, std=0.31, validation=10)
    for split in data.values():
        assert split.mean.tolist() == [pytest.approx(0.13)] and split.std.tolist() == [pytest.approx(0.31)]
    wanted = by_torchvision(pixels[:12], [0.13], [0.31])
    assert torch.allclose(data["test"].batch(slice(None))[0], wanted, rtol=0, atol=1e-6)


def test_a_function_of_ones_own_may_return_raw_images(tmp_path, monkeypatch):
    (tmp_path / "raw_images.py").write_text(
        "import torch\ndef make():\n    x = torch.arange(48, dtype=torch.uint8).reshape(4, 3, 2, 2)\n"
        "    return {'train': (x, torch.tensor([0, 1, 0, 1]))}\n"
    )
    monkeypatch.chdir(tmp_path)
    found = load_data("raw_images:make", mean=MEAN, std=STD)["train"].batch(slice(None))[0]
    pixels = torch.arange(48, dtype=torch.uint8).reshape(4, 3, 2, 2).permute(0, 2, 3, 1).numpy()
    assert torch.allclose(found, by_torchvision(pixels, MEAN, STD), rtol=0, atol=1e-6)


def test_what_is_in_use_can_be_said_and_recorded(images):
    name, _ = images()
    data = load_data(name, mean=MEAN, std=STD)
    assert describe_normalization(data["test"]) == "mean 0.491, 0.482, 0.447 and deviation 0.247, 0.244, 0.262"
    assert normalization_of(data["test"])["mean"] == pytest.approx(MEAN)
    assert describe_normalization(load_data(name, mean="none", std="none")["test"]).startswith("none, pixels scaled")
    assert normalization_of(load_data("digits")["train"]) is None
    assert describe_normalization(Split(torch.zeros(3, 2), torch.zeros(3))) == "none, inputs as they are"


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        ((125.3, 123.0, 113.9), STD, r"mean is for pixels scaled .* got 125.3,123,113.9; .*by 255: 0.491,0.482,0.447"),
        (MEAN, (63.0, 62.1, 66.7), r"std is for pixels scaled .* divide it by 255: 0.247,0.244,0.262"),
        (MEAN, 0.0, "std must be above 0 and at most 1, .* got 0"),
        (MEAN, float("inf"), "std must be above 0 and at most 1, .* got inf"),
        (float("nan"), STD, "mean must be from 0 to 1, .* got nan"),
        (-0.5, STD, "mean must be from 0 to 1, .* got -0.5"),
        (MEAN, None, "go together, got mean numbers and no std; give numbers for both, or `none` for both"),
        (None, 0.5, "go together, got no mean and std numbers"),
        ("none", 0.5, "go together, got mean none and std numbers"),
        ((0.5, 0.5), (0.2, 0.2), "mean has 2 numbers, but images of the split train of .* have 3 channels; give one"),
        (MEAN, (0.2, 0.2), "std has 2 numbers"),
        ("grey", STD, "mean must be numbers such as .* got `grey`"),
        ("0.4,0.4,", STD, "mean must be numbers such as"),
        ([], STD, "mean needs a number, or one per channel, got an empty list"),
    ],
)
def test_what_cannot_be_a_normalisation_is_refused(images, mean, std, words):
    name, _ = images()
    with pytest.raises(PathfinderError, match=words):
        load_data(name, mean=mean, std=std)
    with pytest.raises(PathfinderError, match=words):
        Data.parse({"name": name, "mean": mean, "std": std}).load()


@pytest.mark.parametrize(
    ("mean", "words"),
    [
        (True, "mean must be a number, got True"),
        (["0.4"], "each number of mean must be a number, got '0.4'"),
        ({"red": 0.4}, "mean must be a number, got dict"),
    ],
)
def test_a_config_must_hold_numbers(mean, words):
    with pytest.raises(PathfinderError, match=words):
        Data.parse({"name": "cifar10", "mean": mean, "std": STD})


def test_inputs_that_are_not_raw_images_keep_their_values(images, tmp_path, monkeypatch):
    with pytest.raises(PathfinderError, match="the split train of `digits` holds float32, used as it is; drop both"):
        load_data("digits", mean=0.5, std=0.5)
    floats, _ = images(dtype=np.float64)
    with pytest.raises(PathfinderError, match="holds float32, used as it is"):
        load_data(floats, mean="none", std="none")
    assert load_data("digits", mean="data", std="data")["train"].digest == load_data("digits")["train"].digest
    (tmp_path / "streamed.py").write_text(
        "import torch\ndef make():\n"
        "    return {'train': [(torch.zeros(2, 3), torch.zeros(2))], 'test': (({'a': torch.ones(2)}), torch.ones(2))}\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PathfinderError, match="the split train of `streamed:make` holds batches, used as it is"):
        load_data("streamed:make", mean=0.5, std=0.5)
