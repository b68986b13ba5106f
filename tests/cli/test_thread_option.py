"""How many threads compute in a command, read while a layer computes."""

import json
from importlib import import_module

import pytest
import torch
from helpers import TINY
from torch import nn

MACHINE = 3


@pytest.fixture(autouse=True)
def no_figures(monkeypatch):
    """No figures, which take longer than all else here."""
    monkeypatch.setattr(import_module("pathfinder.figures.draw"), "draw", lambda folder, **given: [])


@pytest.fixture
def seen(monkeypatch):
    """The numbers of threads of torch while any linear layer computes, on a machine where torch finds three."""
    found, forward, before = set(), nn.Linear.forward, torch.get_num_threads()

    def look(layer, x):
        found.add(torch.get_num_threads())
        return forward(layer, x)

    monkeypatch.setattr(nn.Linear, "forward", look)
    torch.set_num_threads(MACHINE)
    yield found
    torch.set_num_threads(before)


COMMANDS = {
    "train": ["train", "mlp", "--data", "digits", "-o", "OUT.safetensors", "--set", "epochs=1"],
    "connect": ["connect", "a.safetensors", "b.safetensors", "-o", "OUT", "--points", "3", "--set", "epochs=1"],
    "point": ["score", "point", "a.safetensors", "-o", "OUT"],
    "line": ["score", "line", "a.safetensors", "b.safetensors", "--points", "3", "-o", "OUT"],
    "surface": ["score", "surface", "a.safetensors", "--points", "2", "-o", "OUT"],
    "curvature": ["curvature", "point", "a.safetensors", "--samples", "0", "--examples", "50", "-o", "OUT"],
    "align": ["align", "a.safetensors", "b.safetensors", "-o", "OUT.safetensors"],
    "every pair": ["align", "--every-pair", "a.safetensors", "b.safetensors", "--points", "3", "-o", "OUT"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_small_network_takes_one_thread_or_as_many_as_the_option_says(name, seen, minima, command, tmp_path):
    for given, number in ([], 1), (["--threads", "2"], 2):
        out = tmp_path / f"out{number}"
        words = [word.replace("OUT", str(out)) for word in COMMANDS[name]]
        words = [str(minima / word) if word in ("a.safetensors", "b.safetensors") else word for word in words]
        seen.clear()
        code, _, err = command(*words, *given)
        assert code == 0, err
        assert seen == {number} and torch.get_num_threads() == MACHINE
        if out.is_dir():
            record = json.loads((out / "run.json").read_text())
            assert record["threads"] == number
            assert {one["threads"] for one in record["made_by"]} == {number}


def test_a_large_network_takes_as_many_as_torch_finds(seen, command, tmp_path):
    wide = ["--model-arg", "widths=[700, 100]"]  # 64 * 700 + 700 * 100 weights and more
    out = tmp_path / "a.safetensors"
    code, _, err = command("train", "mlp", "--data", "digits", *wide, "--set", "epochs=1", "-o", out)
    assert code == 0 and seen == {MACHINE}, err
    seen.clear()
    code, _, err = command("score", "point", out, "-o", tmp_path / "point")
    assert code == 0 and seen == {MACHINE}, err


def test_run_takes_the_config_s_number_and_the_option_changes_it(seen, command, tmp_path):
    text = TINY.replace("convnet-bn", "mlp").replace("epochs = 2", "epochs = 1").replace("points = 4", "points = 2")
    (tmp_path / "tiny.toml").write_text(f"threads = 2\n{text}")
    for given, number in ([], 2), (["--threads", "1"], 1):
        seen.clear()
        code, _, err = command("run", tmp_path / "tiny.toml", "-o", tmp_path / f"out{number}", *given)
        assert code == 0, err
        assert seen == {number}
        record = json.loads((tmp_path / f"out{number}" / "run.json").read_text())
        assert record["threads"] == record["config"]["threads"] == number


@pytest.mark.parametrize("name", ["train", "point", "align", "connect"])
@pytest.mark.parametrize("wrong", ["0", "-3", "99999", "two"])
def test_a_number_that_cannot_be_is_one_line(name, wrong, minima, command, tmp_path):
    words = [word.replace("OUT", str(tmp_path / "out")) for word in COMMANDS[name]]
    words = [str(minima / word) if word in ("a.safetensors", "b.safetensors") else word for word in words]
    code, _, err = command(*words, f"--threads={wrong}")
    assert code == 2 and "threads" in err and err.startswith("error: ") and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_commands_that_compute_keep_freed_memory_and_help_does_not(command, minima, monkeypatch):
    calls = []
    monkeypatch.setattr("pathfinder.memory.keep_freed_memory", lambda: calls.append(1))
    assert command("--help")[0] == command("score", "point", "--help")[0] == command("list", "curves")[0] == 0
    assert not calls
    assert command("score", "point", "missing.safetensors", "-o", minima / "none")[0] == 2
    assert calls == [1]
