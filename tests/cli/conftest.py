"""Commands, and a folder with what they need."""

import numpy as np
import pytest
from command_line import called, train_arguments
from helpers import TINY


@pytest.fixture
def command(capsys):
    """Runs the command line in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        capsys.readouterr()
        return called(*arguments), *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a config, two minima and data of one's own."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "tiny.toml").write_text(TINY)
    (folder / "wide.toml").write_text(TINY.replace("[4, 4]", "[8, 4]"))
    x, y = np.random.default_rng(0).random((20, 1, 8, 8)), np.arange(20) % 10
    good = {"x_train": x, "y_train": y, "x_test": x[:10], "y_test": y[:10]}
    changes = {
        "good": {},
        "lacking": {"y_test": None},
        "short": {"y_train": y[:7]},
        "empty": {"x_test": x[:0], "y_test": y[:0]},
        "nan": {"x_train": np.where(x < 0.01, np.nan, x)},
        "range": {"y_test": y[:10] + 40},
        "one": {"y_train": y * 0, "y_test": y[:10] * 0},
        "types": {"x_train": (x * 255).astype(np.uint8)},
        "flat": {"x_train": x.reshape(20, 64), "x_test": x[:10].reshape(10, 64)},
    }
    for name, change in changes.items():
        np.savez(folder / f"{name}.npz", **{k: v for k, v in {**good, **change}.items() if v is not None})
    return folder


@pytest.fixture(scope="module")
def minima(work):
    """Two minima, one of another width and one with BatchNorm, trained by the command itself."""
    for seed, name in enumerate(("bn", "bn2")):
        bn = ["train", "convnet-bn", *train_arguments(work / f"{name}.safetensors", "[4, 4]")[2:], "--seed", seed]
        assert called(*bn) == 0
    for name, seed, widths in (("a", 0, "[8, 8]"), ("b", 1, "[8, 8]"), ("other", 0, "[9, 8]")):
        assert called(*train_arguments(work / f"{name}.safetensors", widths), "--seed", seed) == 0
    return work
