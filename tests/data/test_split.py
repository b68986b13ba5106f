import numpy as np
import pytest
import torch

from pathfinder import PathfinderError, Split, load_data
from pathfinder.data.batching import slices
from pathfinder.data.sources import as_source


def test_digits_are_split_once_and_evenly():
    data = load_data("digits")
    assert {name: len(split) for name, split in data.items()} == {"train": 1437, "test": 360}
    assert data["train"].input_shape == (1, 8, 8) and data["train"].classes == 10
    counts = torch.bincount(data["test"].y)
    assert counts.min() >= 34 and counts.max() <= 37
    assert data["train"].digest == load_data("digits")["train"].digest != data["test"].digest


@pytest.mark.parametrize("examples", [1, 2, 16, 17, 33, 50])
def test_slices_cover_every_example_once_and_leave_none_alone(examples):
    parts = slices(examples, 16)
    assert torch.equal(torch.cat([torch.arange(examples)[part] for part in parts]), torch.arange(examples))
    assert all(part.stop - part.start >= min(2, examples) for part in parts)


def test_an_epoch_has_every_example_once_in_an_order_of_its_own():
    split = Split(torch.arange(50.0)[:, None], torch.arange(50))
    orders = [torch.cat([y for _, y in split.epoch(16, np.random.default_rng(seed))]) for seed in (0, 0, 1)]
    assert torch.equal(orders[0], orders[1]) and not torch.equal(orders[0], orders[2])
    assert torch.equal(orders[0].sort().values, torch.arange(50))
    late = torch.cat([y for _, y in split.epoch(16, np.random.default_rng(0), start=2)])
    assert torch.equal(late, orders[0][32:])


def test_uint8_images_stay_so_in_memory_and_are_normalised_per_batch(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 5, 6, 3), dtype=np.uint8)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=np.arange(40) % 4, x_test=x[:7], y_test=np.arange(7) % 4)
    data = load_data(f"npz:{tmp_path / 'd.npz'}")
    train = data["train"]
    assert train.x.dtype == torch.uint8 and train.input_shape == (3, 5, 6) and train.classes == 4
    batch = torch.cat([x for x, _ in train.batches(16)])
    assert torch.allclose(batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(batch.std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-5)
    wanted = (torch.from_numpy(x[:7]).permute(0, 3, 1, 2) / 255 - train.mean[:, None, None]) / train.std[:, None, None]
    assert torch.allclose(next(data["test"].batches(7))[0], wanted, atol=1e-5)


def test_float_arrays_and_regression_targets_come_as_they_are(tmp_path):
    x, y = np.random.default_rng(0).random((9, 4)), np.random.default_rng(1).random(9)
    np.savez(tmp_path / "d.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    train = load_data(f"npz:{tmp_path / 'd.npz'}")["train"]
    assert train.classes is None and torch.allclose(train.x, torch.from_numpy(x).float())


def test_a_function_of_ones_own_gives_the_data(tmp_path, monkeypatch):
    (tmp_path / "own_data.py").write_text(
        "import torch\ndef make():\n    return {'train': (torch.ones(4, 2), torch.tensor([0, 1, 0, 1]))}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert load_data("own_data:make")["train"].classes == 2


def test_subsets_are_drawn_by_seed_and_kept_in_order():
    split = Split(torch.arange(50.0)[:, None], torch.arange(50))
    chosen = split.subset(20, seed=1).y
    assert torch.equal(chosen, split.subset(20, seed=1).y) and not torch.equal(chosen, split.subset(20, seed=2).y)
    assert torch.equal(chosen, chosen.sort().values) and split.subset(50, 0) is split


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (torch.zeros(3, 2), torch.tensor([0, 1]), "same length, got 3 and 2"),
        (torch.zeros(0, 2), torch.zeros(0), "0 examples"),
        (torch.tensor([[0.0], [float("nan")]]), torch.tensor([0, 1]), "x holds NaN or infinity, first in example 1"),
        (torch.zeros(2, 1), torch.tensor([0, -3]), "labels must be 0 to 0, got -3 in example 1"),
    ],
)
def test_wrong_data_is_named(x, y, words):
    with pytest.raises(PathfinderError, match=words):
        as_source((x, y))


def test_labels_beyond_those_of_training_are_named(tmp_path):
    x = np.zeros((4, 2))
    np.savez(tmp_path / "d.npz", x_train=x, y_train=[0, 1, 2, 0], x_test=x, y_test=[0, 1, 5, 0])
    with pytest.raises(PathfinderError, match="test: labels must be 0 to 2, got 5 in example 2"):
        load_data(f"npz:{tmp_path / 'd.npz'}")


def test_unknown_data_is_named():
    with pytest.raises(PathfinderError, match="unknown data `digit`; did you mean `digits`"):
        load_data("digit")
    with pytest.raises(PathfinderError, match="cannot import `no_such_module:make`"):
        load_data("no_such_module:make")
