import gzip
import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest
import torch
from PIL import Image

from pathfinder import Evaluator, PathfinderError, WeightSpace, load_data


def pictures(examples, side, seed):
    return np.random.default_rng(seed).integers(0, 256, (examples, side, side), dtype=np.uint8)


@pytest.fixture
def mnist(tmp_path, monkeypatch):
    """MNIST as its publishers keep it, but short, on a server of our own; gives the folder it serves."""
    from torchvision import datasets

    server, resources = tmp_path / "server", []
    server.mkdir()
    for split, examples in (("train", 30), ("t10k", 20)):
        images, labels = pictures(examples, 28, examples), np.arange(examples, dtype=np.uint8) % 10
        for name, magic, array in (("images-idx3", 2051, images), ("labels-idx1", 2049, labels)):
            head = np.array([magic, *array.shape], dtype=">i4").tobytes()
            content = gzip.compress(head + array.tobytes())
            (server / f"{split}-{name}-ubyte.gz").write_bytes(content)
            resources.append((f"{split}-{name}-ubyte.gz", hashlib.md5(content).hexdigest()))
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("PATHFINDER_DATA", str(tmp_path / "home"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=server)) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets.MNIST, "mirrors", [f"http://127.0.0.1:{running.server_port}/"])
        monkeypatch.setattr(datasets.MNIST, "resources", resources)
        yield server
        running.shutdown()


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_published_set_is_downloaded_once_and_read_from_then_on(mnist):
    first = load_data("mnist")
    for file in mnist.iterdir():
        file.unlink()
    again = load_data("mnist")
    assert first["train"].digest == again["train"].digest
    train, test = first["train"], first["test"]
    assert train.x.dtype == torch.uint8 and train.input_shape == (1, 28, 28) and train.classes == 10
    assert (len(train), len(test)) == (30, 20)
    assert np.array_equal(train.x[:, 0].numpy(), pictures(30, 28, 30)) and train.y.tolist() == [
        i % 10 for i in range(30)
    ]
    prepared, _ = train.batch(slice(None))
    assert abs(float(prepared.mean())) < 1e-5 and float(prepared.std(unbiased=False)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-python.tar.gz"),
        ("cifar100", "cifar-100-python.tar.gz"),
        ("mnist", "MNIST/raw/"),
        ("fashion-mnist", "FashionMNIST/raw/"),
    ],
)
def test_without_a_network_the_error_says_which_file_to_put_where(name, file, tmp_path, monkeypatch):
    def refused(*_, **__):
        raise OSError("<urlopen error no network>")

    monkeypatch.setattr("urllib.request.urlopen", refused)
    monkeypatch.setenv("PATHFINDER_DATA", str(tmp_path))
    with pytest.raises(PathfinderError) as error:
        load_data(name)
    line = str(error.value)
    assert f"`{name}` is not in {tmp_path}" in line and file in line and f"{name}.npz" in line and "\n" not in line


def test_an_npz_in_the_data_folder_is_found_by_its_name(tmp_path, monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "cifar10.npz", x_train=x, y_train=np.arange(12) % 10, x_test=x[:4], y_test=np.arange(4))
    monkeypatch.setenv("PATHFINDER_DATA", str(tmp_path))
    assert torch.equal(load_data("cifar10")["train"].x, torch.from_numpy(x).permute(0, 3, 1, 2))
    monkeypatch.setenv("PATHFINDER_DATA", str(tmp_path / "no"))
    with pytest.raises(PathfinderError, match="PATHFINDER_DATA names .*/no, which is not a folder"):
        load_data("cifar10")


@pytest.fixture
def images(tmp_path):
    """A folder of pictures in two classes."""
    draw = np.random.default_rng(0)
    for split, examples in (("train", 5), ("val", 3)):
        for label in ("cat", "dog"):
            (tmp_path / split / label).mkdir(parents=True)
            for i in range(examples):
                picture = Image.fromarray(draw.integers(0, 256, (6, 9, 3), dtype=np.uint8))
                picture.save(tmp_path / split / label / f"{i}.png")
    return tmp_path


def test_a_folder_of_images_gives_splits_and_classes(images):
    data = load_data(f"folder:{images}")
    assert {name: len(split) for name, split in data.items()} == {"train": 10, "test": 6}
    train = data["train"]
    assert train.x.dtype == torch.uint8 and train.input_shape == (3, 6, 9) and train.classes == 2
    assert train.y.tolist() == [0] * 5 + [1] * 5
    first = np.asarray(Image.open(images / "train" / "cat" / "0.png"))
    assert np.array_equal(train.x[0].permute(1, 2, 0).numpy(), first)
    assert load_data(f"folder:{images}", image_size=4)["train"].input_shape == (3, 4, 4)


def test_a_folder_that_cannot_be_used_is_named(images):
    Image.fromarray(np.zeros((7, 9, 3), np.uint8)).save(images / "train" / "cat" / "9.png")
    with pytest.raises(PathfinderError, match=r"images must have one size, but .*9.png has \(7, 9\).* set image_size"):
        load_data(f"folder:{images}")
    (images / "val" / "emu").mkdir()
    Image.fromarray(np.zeros((6, 9, 3), np.uint8)).save(images / "val" / "emu" / "0.png")
    with pytest.raises(PathfinderError, match="test has the classes `cat`, `dog`, `emu`, but train `cat`, `dog`"):
        load_data(f"folder:{images}", image_size=4)
    (images / "train" / "dog" / "0.png").write_bytes(b"broken")
    with pytest.raises(PathfinderError, match="cannot be read as images"):
        load_data(f"folder:{images}", image_size=4)
    with pytest.raises(PathfinderError, match="must hold a folder `train`"):
        load_data(f"folder:{images / 'val'}")
    with pytest.raises(PathfinderError, match="image_size scales images in files, not data `digits`"):
        load_data("digits", image_size=4)


def test_images_of_a_file_are_scaled(tmp_path):
    x = np.repeat(np.repeat(np.arange(48, dtype=np.uint8).reshape(3, 4, 4, 1), 2, 1), 2, 2) * np.uint8(5)
    np.savez(tmp_path / "a.npz", x_train=x, y_train=np.array([0, 1, 2]), x_test=x[:, :, :6], y_test=np.array([0, 1, 2]))
    data = load_data(f"npz:{tmp_path / 'a.npz'}", image_size=4)
    assert data["train"].input_shape == data["test"].input_shape == (1, 4, 4) and data["train"].x.dtype == torch.uint8
    middle = x[:, 2:6:2, 2:6:2, 0]
    assert np.abs(data["train"].x[:, 0, 1:3, 1:3].numpy().astype(int) - middle).max() <= 3
    assert load_data(f"npz:{tmp_path / 'a.npz'}", image_size=2)["train"].mean == pytest.approx(x.mean() / 255, abs=0.01)
    np.savez(tmp_path / "b.npz", x_train=x / 255, y_train=np.arange(3), x_test=x / 255, y_test=np.arange(3))
    with pytest.raises(PathfinderError, match="image_size scales images of uint8, got torch.float32 of shape"):
        load_data(f"npz:{tmp_path / 'b.npz'}", image_size=4)


def test_validation_and_examples_are_drawn_by_seed_from_the_training_split_alone():
    whole, first, second, other = (
        load_data("digits", **settings)
        for settings in ({}, *({"validation": 200, "examples": 500, "seed": seed, "crop": 1} for seed in (1, 1, 2)))
    )
    assert {name: len(split) for name, split in first.items()} == {"train": 500, "test": 360, "validation": 200}
    assert first["test"].digest == whole["test"].digest
    for name in ("train", "validation"):
        assert first[name].digest == second[name].digest != other[name].digest
    rows = {tuple(x.flatten().tolist()) for x in whole["train"].x}
    parts = [{tuple(x.flatten().tolist()) for x in first[name].x} for name in ("train", "validation")]
    assert parts[0] <= rows and parts[1] <= rows and not parts[0] & parts[1]
    assert first["train"].crop == 1 and first["validation"].crop == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"validation": 1437}, "must leave some of 1437 examples, got 1437"),
        ({"examples": 2000}, "examples must be at most the 1437 of the split train, got 2000"),
        ({"validation": 437, "examples": 1001}, "at most the 1000 of the split train, got 1001"),
    ],
)
def test_too_few_examples_are_named(settings, words):
    with pytest.raises(PathfinderError, match=words):
        load_data("digits", **settings)


def test_images_of_bytes_from_a_function_are_normalised_as_those_of_files(tmp_path, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 8, 8), dtype=np.uint8)
    labels = np.arange(20) % 4
    np.savez(tmp_path / "own.npz", x_train=images, y_train=labels, x_test=images[:8], y_test=labels[:8])
    (tmp_path / "own_bytes.py").write_text(
        "import numpy as np\n"
        "def splits():\n"
        "    held = np.load('own.npz')\n"
        "    return {name: (held[f'x_{name}'], held[f'y_{name}']) for name in ('train', 'test')}\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    own, file = load_data("own_bytes:splits"), load_data("npz:own.npz")
    for name in ("train", "test"):
        assert torch.equal(own[name].batch(slice(0, 8))[0], file[name].batch(slice(0, 8))[0])
    raw = Evaluator(WeightSpace(module := torch.nn.Conv2d(3, 4, 8)), {"train": (torch.from_numpy(images), labels)})
    with pytest.raises(PathfinderError, match="fails on inputs of torch.uint8"):
        raw.at(WeightSpace(module).vector(module))
