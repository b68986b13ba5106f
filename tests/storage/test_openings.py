"""Each file of weights is opened once per command, whatever the command needs to know of it."""

import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pathfinder import PathfinderError, build_model, cli
from pathfinder.storage import read_checkpoint
from pathfinder.storage.keys import digest_of

FEW = ["--data", "digits", "--examples", "20"]
COMMANDS = {
    "score line": ["score", "line", "a.safetensors", "b.safetensors", "--points", "2", "--examples", "20"],
    "score line of torch files": [
        *["score", "line", "a.pth", "b.pth", "--points", "2", "--model", "mlp", "--model-arg", "widths=[8]", *FEW]
    ],
    "score plane": ["score", "plane", "c.safetensors", "--points", "2", "--examples", "20"],
    "score surface": ["score", "surface", "a.safetensors", "--points", "2", "--examples", "20"],
    "score curve": ["score", "curve", "c.safetensors", "--points", "2", "--examples", "20"],
    "curvature path": [
        "curvature",
        "path",
        "a.safetensors",
        "b.safetensors",
        "--points",
        "2",
        "--most",
        "5",
        "--examples",
        "20",
    ],
    "align": ["align", "a.safetensors", "b.safetensors", "-o", "out.safetensors"],
    "export": ["export", "c.safetensors", "--t", "0.5", "-o", "out.safetensors"],
    "connect": ["connect", "a.safetensors", "b.safetensors", "--set", "epochs=1", "--points", "2", "--examples", "20"],
    "run": ["run", "pair.toml"],
}
PAIR = """
name = "pair"
data = {name = "digits"}
model = {name = "mlp", widths = [8]}
pairs = [{name = "p", a = {checkpoint = "a.safetensors"}, b = {checkpoint = "b.pth"}}]
curves = [{kind = "bezier", epochs = 1}]
score = {points = 2, examples = 20}
"""


@pytest.fixture
def openings(tmp_path, monkeypatch):
    """How often each file of weights in a folder with minima and a curve was opened, counted while commands run."""
    monkeypatch.chdir(tmp_path)
    said = {
        "model": '{"name": "mlp", "arguments": {"widths": [8], "num_classes": 10, "input_shape": [1, 8, 8]}}',
        "data": '{"name": "digits"}',
    }
    for seed, name in enumerate("ab"):
        state = build_model("mlp", widths=[8], input_shape=(1, 8, 8), seed=seed).state_dict()
        save_file(state, f"{name}.safetensors", said)
        torch.save({"state_dict": state}, f"{name}.pth")
    ends = [torch.cat([part.flatten() for part in read_checkpoint(f"{name}.pth").state.values()]) for name in "ab"]
    curve = {"start": ends[0], "end": ends[1], "bends": ends[0][None] + 0.01}
    save_file(curve, "c.safetensors", {**said, "kind": '"bezier"'})
    Path("pair.toml").write_text(PAIR)
    count = Counter()
    load, opened, named = torch.load, Path.open, {"a.safetensors", "b.safetensors", "c.safetensors", "a.pth", "b.pth"}

    def counted(path):
        count.update({Path(path).name} & named)

    def counted_safe_open(path, *arguments, **options):
        counted(path)
        return safe_open(path, *arguments, **options)

    def counted_load(path, *arguments, **options):
        counted(path)
        return load(path, *arguments, **options)

    def counted_open(self, *arguments, **options):
        counted(self)
        return opened(self, *arguments, **options)

    monkeypatch.setattr("pathfinder.storage.tensors.safe_open", counted_safe_open)
    monkeypatch.setattr("safetensors.torch.safe_open", counted_safe_open)
    monkeypatch.setattr("torch.load", counted_load)
    monkeypatch.setattr(Path, "open", counted_open)
    return count


@pytest.mark.parametrize("name", COMMANDS)
def test_each_file_is_opened_once(name, openings, monkeypatch, capsys):
    arguments = COMMANDS[name] + ([] if "-o" in COMMANDS[name] else ["--out", "new"])
    monkeypatch.setattr(sys, "argv", ["pathfinder", *arguments])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code, capsys.readouterr().err
    inputs = {word for word in arguments if word.endswith((".safetensors", ".pth"))} - {"out.safetensors"}
    assert openings == dict.fromkeys(inputs or {"a.safetensors", "b.pth"}, 1)


def test_a_digest_is_of_tensors_and_metadata_alone(tmp_path):
    state = {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor(3)}
    save_file(state, tmp_path / "a.safetensors", {"model": "1"})
    save_file(dict(reversed(state.items())), tmp_path / "b.safetensors", {"model": "1"})
    save_file(state, tmp_path / "c.safetensors", {"model": "2"})
    save_file({**state, "w": state["w"] + 1}, tmp_path / "d.safetensors", {"model": "1"})
    a, b, c, d = (read_checkpoint(tmp_path / f"{name}.safetensors") for name in "abcd")
    assert a.digest == b.digest and len({a.digest, c.digest, d.digest}) == 3
    assert (a.values, a.metadata) == (7, {"model": 1})


def test_metadata_of_any_depth_is_read_or_refused_in_one_line(tmp_path):
    for depth in (10, 500, 900, 3000, 9000, 30_000):
        save_file({"w": torch.ones(2)}, tmp_path / "a.safetensors", {"deep": "[" * depth + "]" * depth})
        try:
            read_checkpoint(tmp_path / "a.safetensors")
        except PathfinderError as error:
            assert "nested too deeply" in str(error)


def test_a_tensor_that_repeats_its_memory_is_not_unfolded():
    one = torch.ones(1).expand(2**40)
    assert digest_of(one) == digest_of(torch.ones(1).expand(2**40))
    assert len({digest_of(one), digest_of(torch.zeros(1).expand(2**40)), digest_of(torch.ones(1).expand(2**41))}) == 3
