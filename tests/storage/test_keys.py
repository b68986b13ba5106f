"""What a key depends on: the user's own code, wherever in their package it lies, and nothing that made the work."""

import subprocess
import sys

import pytest

from pathfinder.settings import by_import_path
from pathfinder.storage.keys import code_of, is_import_path
from pathfinder.tables.csv_files import read_table


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's, imported: net uses parts.block, through `from . import`; other is not used."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    files = {
        "own_package/__init__.py": "",
        "own_package/net.py": "from .parts import block\nfrom own_package.parts.deep import depth\nNet = 1\n",
        "own_package/parts/__init__.py": "",
        "own_package/parts/block.py": "import json\nsize = 3\n",
        "own_package/parts/deep.py": "depth = 2\n",
        "own_package/other.py": "x = 1\n",
        "own_single.py": "from own_beside import width\nNet = 1\n",
        "own_beside.py": "width = 4\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[name]


@pytest.mark.parametrize("changed", ["net.py", "parts/block.py", "parts/deep.py", "parts/__init__.py"])
def test_code_is_what_was_imported_from_its_own_package(changed, package):
    by_import_path("own_package.net:Net")
    before = code_of("own_package.net:Net")
    (package / "own_package" / "other.py").write_text("x = 2\n")
    assert before and code_of("own_package.net:Net") == before
    with (package / "own_package" / changed).open("a") as file:
        file.write("# changed\n")
    assert code_of("own_package.net:Net") != before


def test_code_of_a_single_file_counts_the_files_it_imports(package):
    by_import_path("own_single:Net")
    before = code_of("own_single:Net")
    (package / "own_package" / "net.py").write_text("Net = 2\n")
    assert before and code_of("own_single:Net") == before
    (package / "own_beside.py").write_text("width = 5\n")
    assert code_of("own_single:Net") != before


def test_names_that_are_no_import_paths_have_no_code():
    for name in ("mlp", "torchvision:resnet18", "npz:a.npz", "folder:images", "C:"[:1]):
        assert not is_import_path(name) and code_of(name) is None


NETS = """
from torch import nn
def Net(num_classes, input_shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.{activation}(), nn.Linear(8, num_classes))
"""


def test_another_network_under_an_old_name_gets_its_own_numbers(tmp_path):
    (tmp_path / "own.toml").write_text(
        "[data]\nname = 'digits'\nexamples = 300\n[model]\nname = 'own_nets:Net'\n"
        "[minimum]\nepochs = 2\n[score]\npoints = 2\n"
    )
    command, found = [sys.executable, "-m", "pathfinder", "run", "own.toml", "--out", "run"], {}
    for activation, force in (("ReLU", []), ("Tanh", []), ("Tanh", ["--force"])):
        (tmp_path / "own_nets.py").write_text(NETS.format(activation=activation))
        done = subprocess.run([*command, *force], cwd=tmp_path, capture_output=True, text=True)
        if activation == "Tanh" and not force:
            assert done.returncode == 2 and "made with other data, weights or code of yours: 2 minima" in done.stderr
            continue
        assert done.returncode == 0, done.stderr
        found[activation] = tuple(read_table(tmp_path / "run" / "minima.csv")["train_loss"])
    assert found["ReLU"] != found["Tanh"]
