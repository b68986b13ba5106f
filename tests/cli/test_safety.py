"""A file never runs code: hostile files of every kind are given to every command that reads one."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import called
from helpers import TINY
from safetensors.torch import save_file

from pathfinder import build_model
from pathfinder.storage import load_tensors

OUT = {"folder": ["-o", "new"], "file": ["-o", "new.safetensors"]}
FOUND = ["--model", "mlp", "--model-arg", "widths=[8]", "--data", "digits"]
FEW = ["--examples", "20"]
# the file under attack is FILE; a and b are good minima
ON_MINIMA = {
    "connect from": ["connect", "FILE", "b.safetensors", *OUT["folder"]],
    "connect to": ["connect", "a.safetensors", "FILE", *OUT["folder"]],
    "score line": ["score", "line", "FILE", "b.safetensors", *OUT["folder"]],
    "score plane through": ["score", "plane", "FILE", "b.safetensors", "c.safetensors", *OUT["folder"]],
    "score direction": ["score", "direction", "FILE", *OUT["folder"]],
    "score surface": ["score", "surface", "FILE", *OUT["folder"]],
    "curvature point": ["curvature", "point", "FILE", *OUT["folder"]],
    "curvature path": ["curvature", "path", "FILE", "b.safetensors", *OUT["folder"]],
    "curvature surface": ["curvature", "surface", "FILE", *OUT["folder"]],
    "align from": ["align", "FILE", "b.safetensors", *OUT["file"]],
    "align every pair": ["align", "--every-pair", "FILE", "b.safetensors", *OUT["folder"]],
    "run": ["run", "checkpoint.toml", "--out", "new"],
}
ON_CURVES = {
    "score curve": ["score", "curve", "FILE", *OUT["folder"]],
    "score plane": ["score", "plane", "FILE", *OUT["folder"]],
    "curvature path of a curve": ["curvature", "path", "FILE", *OUT["folder"]],
    "export": ["export", "FILE", "--t", "0.5", *OUT["file"]],
}
WEIGHTS_ALONE = {  # of these files nothing is asked but their weights
    "score line to": ["score", "line", "a.safetensors", "FILE", "--points", "2", *FEW, *OUT["folder"]],
    "align to": ["align", "a.safetensors", "FILE", *OUT["file"]],
    "score surface over a trajectory": ["score", "surface", "a.safetensors", "--trajectory", "way", *OUT["folder"]],
}
MLP = {"name": "mlp", "arguments": {"widths": [8], "num_classes": 10, "input_shape": [1, 8, 8]}}


def model(name="mlp", **arguments):
    """Metadata that names a network."""
    base = {} if ":" in name else MLP["arguments"]
    return {"model": {"name": name, "arguments": {**base, **arguments}}}


# metadata that differs from a good file's, and words of the line that refuses it
SAYS = {
    "a network by import path": (model("os:system", command="touch ran"), "`os:system`, an import path", "--model"),
    "a network of a module that lies here": (model("hostile:Net"), "`hostile:Net`, an import path", "--model"),
    "a network of pathfinder's by import path": (
        model("pathfinder.lookup:by_import_path", path="hostile:Net"), "an import path", "--model",
    ),
    "data by import path": ({"data": {"name": "hostile:make"}}, "`hostile:make`, an import path", "--data"),
    "data as text": ({"data": "hostile:make"}, "`hostile:make`, an import path", "--data"),
    "data of the library": ({"data": {"name": "this:s"}}, "`this:s`, an import path", "--data"),
    "an import path among the arguments": (model(norm="os:system"), "takes no `norm` from a file", "--model"),
    "an import path deeper down": (model(widths=["os:system"]), "should be a whole number", "--model"),
    "an import path for a shape": (model(input_shape="os:system"), "input_shape must be a list", "--model"),
    "weights to download": (model("torchvision:resnet18", weights="DEFAULT"), "takes no `weights`", "--model"),
    "weights of old to download": (model("torchvision:resnet18", pretrained=True), "takes no `pretrained`", "--model"),
    "a layer as text": (model("torchvision:resnet18", norm_layer="os:system"), "takes no `norm_layer`", "--model"),
    "a seed": (model(seed=3), "takes no `seed` from a file", "--model"),
    "a name": ({"model": {"name": "mlp", "arguments": {"name": "x"}}}, "takes no `name`", "--model"),
    "a shape that is a number": (model(input_shape=3), "input_shape must be a list of numbers, got 3", "--model"),
    "a network larger than the file": (model(widths=[10**7]), "more than the", "--model"),
    "a network deeper than the file": (model("resnet", depth=6 * 10**9 + 2), "more layers than it has", "--model"),
    "a depth as text": (model("resnet", depth="6000000002"), "more layers than it has", "--model"),
    "a network larger than any memory": (model(widths=[2**60]), "cannot be built", "--model"),
    "an unknown network": (model("x\n\x1b[31m" * 300), "unknown model", "choose from"),
    "data with an unknown key": ({"data": {"name": "digits", "run": "os:system"}}, "run", "unknown"),
}  # fmt: skip


def listing(folder="."):
    return {path.as_posix(): path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def config_with(name):
    """Write checkpoint.toml, which names a file of weights."""
    text = TINY.replace('name = "convnet-bn"\nwidths = [4, 4]\n', "").replace("[model]\n", "")
    pair = f'[[pairs]]\nname = "pair"\na = {{checkpoint = "{name}"}}\nb = {{checkpoint = "b.safetensors"}}\n'
    Path("checkpoint.toml").write_text(text + pair)


def weights(seed=0):
    return build_model("mlp", seed=seed, widths=[8], input_shape=(1, 8, 8)).state_dict()


def curve():
    ends = [torch.cat([tensor.flatten() for tensor in weights(seed).values()]) for seed in (0, 1)]
    return {"start": ends[0], "bends": torch.stack(ends).mean(0, keepdim=True) + 0.01, "end": ends[1]}


def save(path, tensors, **said):
    said = {**{"model": MLP, "data": {"name": "digits"}}, **said}
    save_file(tensors, path, {key: json.dumps(value) for key, value in said.items()})


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with good minima and a module that must never be imported."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("abc"):
        save(f"{name}.safetensors", weights(seed))
    Path("hostile.py").write_text("import os\nos.system('touch ran')\nNet = make = os.getcwd\n")
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda *_, **__: Path("ran").touch())
    return tmp_path


@pytest.fixture
def refused(here, capsys, without_shapes):
    """Runs a command that must end in one line and code 2, run nothing and write nothing: the line."""

    def run(arguments):
        before = listing()
        capsys.readouterr()
        code = called(*arguments)
        out, err = capsys.readouterr()
        assert not Path("ran").exists(), arguments
        assert (code, out, len(err.splitlines())) == (2, "", 1), (arguments, code, err)
        assert listing() == before
        assert len(err) < 1000 and err.rstrip("\n").isprintable(), err
        return err

    return run


def on(commands, file):
    return {name: [file if part == "FILE" else part for part in given] for name, given in commands.items()}


@pytest.mark.parametrize("says", SAYS)
def test_what_a_file_says_of_itself_never_runs(says, refused):
    said, words, remedy = SAYS[says]
    save("x.safetensors", weights(), **said)
    save("curve.safetensors", curve(), kind="bezier", **said)
    config_with("x.safetensors")
    everywhere = "import" in says
    for name, arguments in (on(ON_MINIMA, "x.safetensors") | on(ON_CURVES, "curve.safetensors")).items():
        if "data" in said and name in ("connect to", "run"):
            continue  # the data is that of another file, or the config's
        if everywhere or name in ("connect to", "score surface", "run", "export"):
            line = refused(arguments)
            assert words in line and remedy in line, line


def test_what_the_user_names_is_used_and_what_the_file_says_is_not(here, capsys):
    said = model("os:system", command="touch ran") | {"data": {"name": "hostile:make"}}
    for name, tensors in (("x", weights()), ("y", weights(1)), ("curve", {**curve()})):
        save(f"{name}.safetensors", tensors, **said, **({"kind": "bezier"} if name == "curve" else {}))
    commands = [
        ["score", "line", "x.safetensors", "y.safetensors", "--points", "2", *FEW, *OUT["folder"]],
        ["align", "x.safetensors", "y.safetensors", "-o", "aligned.safetensors"],
        ["export", "curve.safetensors", "--t", "0.5", "-o", "middle.safetensors"],
    ]
    for arguments in commands:
        assert called(*arguments, *FOUND) == 0, capsys.readouterr().err
    for name in ("aligned", "middle"):
        written = load_tensors(f"{name}.safetensors")[1]
        assert written["model"] == MLP and written["data"] == {"name": "digits"}
    assert json.loads(Path("new/run.json").read_text())["config"]["data"] == {"name": "digits"}
    assert not Path("ran").exists()


def test_arguments_of_a_network_are_not_mixed_with_those_a_file_names(refused):
    save("x.safetensors", weights())
    line = refused(["score", "surface", "x.safetensors", "--model-arg", "widths=[8]", *OUT["folder"]])
    assert "--model-arg needs --model" in line


class Hostile:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return (os.system, ("touch ran",))


def archive(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, data in members.items():
            packed.writestr(name.replace("__", "/"), data)
    return content.getvalue()


def saved(value, **how):
    content = io.BytesIO()
    torch.save(value, content, **how)
    return content.getvalue()


PICKLES = {
    "plain": pickle.dumps(Hostile()),
    "of the first protocol": pickle.dumps({"state_dict": Hostile()}, protocol=0),
    "in a state dict": saved({"state_dict": {**{"w": torch.ones(2)}, "x": Hostile()}}),
    "of old torch": saved({"model": Hostile()}, _use_new_zipfile_serialization=False),
    "an archive made by hand": archive(**{"a__data.pkl": pickle.dumps(Hostile())}),
    "a script of TorchScript": archive(
        **{"a__data.pkl": pickle.dumps(Hostile()), "a__constants.pkl": pickle.dumps(Hostile()), "a__version": b"3"}
    ),
    "a tar": b"".join((b"storages".ljust(512, b"\0"), pickle.dumps(Hostile()))),
    "a whole module": saved(torch.nn.Linear(2, 2)),
}


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("suffix", [".pt", ".th", ".t7", ".safetensors"])
def test_no_pickle_is_run(kind, suffix, refused):
    Path(f"x{suffix}").write_bytes(PICKLES[kind])
    config_with(f"x{suffix}")
    commands = on(ON_MINIMA, f"x{suffix}") | on(ON_CURVES, f"x{suffix}")
    few = {name: commands[name] for name in ("connect to", "score surface", "align from", "run", "export")}
    for name, arguments in (commands if suffix == ".pt" and kind == "plain" else few).items():
        line = refused([*arguments, *(FOUND if name != "run" else ["--set", "model={name='mlp', widths=[8]}"])])
        assert f"x{suffix}" in line
    for name in WEIGHTS_ALONE:
        if "way" not in WEIGHTS_ALONE[name]:
            assert f"x{suffix}" in refused(on(WEIGHTS_ALONE, f"x{suffix}")[name])
    if suffix == ".safetensors":
        Path("way").mkdir()
        for epoch in range(3):
            Path(f"way/epoch-{epoch}.safetensors").write_bytes(PICKLES[kind])
        assert "epoch-0" in refused(WEIGHTS_ALONE["score surface over a trajectory"])


def objects():
    """An npz whose array of objects runs a command when it is read."""
    content = io.BytesIO()
    x = np.zeros((4, 2))
    made = np.empty(4, dtype=object)
    made[:] = [Hostile() for _ in range(4)]
    np.savez(content, x_train=made, y_train=np.arange(4) % 2, x_test=x, y_test=np.arange(4) % 2)
    return content.getvalue()


ARRAYS = {
    "arrays of objects": objects,
    "a pickle": lambda: PICKLES["plain"],
    "an archive of pickles": lambda: archive(**{f"{name}.npy": PICKLES["plain"] for name in ("x_train", "y_train")}),
    "a header that is code": lambda: archive(
        **{f"{a}_{s}.npy": _header("__import__('os').system('touch ran')") for a in "xy" for s in ("train", "test")}
    ),
}


def _header(text):
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("kind", ARRAYS)
def test_no_array_is_unpickled(kind, refused):
    Path("x.npz").write_bytes(ARRAYS[kind]())
    save("x.safetensors", weights(), data={"name": "npz:x.npz"})
    save("curve.safetensors", curve(), kind="bezier", data={"name": "npz:x.npz"})
    config_with("a.safetensors")
    commands = on(ON_MINIMA, "x.safetensors") | on(ON_CURVES, "curve.safetensors")
    for name in ("connect from", "score surface", "curvature point", "align from", "export"):
        assert "x.npz" in refused(commands[name])
    assert "x.npz" in refused(["train", "mlp", "--data", "npz:x.npz", *OUT["file"]])
    assert "x.npz" in refused([*ON_MINIMA["run"], "--set", "data.name=npz:x.npz"])


KINDS = {
    "an import path": ({"kind": "os:system"}, "unknown curve"),
    "a list": ({"kind": ["os:system"]}, "unknown curve"),
    "a base class": ({"kind": "curve"}, "unknown curve"),
    "a plane of bends": ({"kind": "plane"}, "no whole plane"),
    "none": ({}, "no geometry"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_kind_of_a_curve_is_looked_up_and_never_imported(kind, refused):
    said, words = KINDS[kind]
    save("curve.safetensors", curve(), **said)
    for arguments in on(ON_CURVES, "curve.safetensors").values():
        assert words in refused(arguments)


def test_a_run_folder_of_somebody_else_runs_nothing(here, capsys):
    Path("tiny.toml").write_text(TINY)
    small = ["--set", "model={name='mlp', widths=[8]}", "--set", "minimum.epochs=1", "--set", "curve.epochs=1"]
    small += ["--set", "score.points=3", "--set", "score.examples=20"]
    assert called("run", "tiny.toml", "--out", "run", *small) == 0
    wanted = Path("run/summary.csv").read_bytes()
    record = json.loads(Path("run/run.json").read_text())
    for key in ("config", "torch", "seconds", "data"):
        record[key] = {"name": "os:system", "arguments": {"command": "touch ran"}}
    record["seconds"] = {}
    Path("run/run.json").write_text(json.dumps(record))
    stages = list(Path("run/.work").iterdir())
    assert stages
    for i, stage in enumerate(stages):
        stage.write_bytes(list(PICKLES.values())[i % len(PICKLES)])
    assert called("run", "tiny.toml", "--out", "run", *small) == 0, capsys.readouterr().err
    assert Path("run/summary.csv").read_bytes() == wanted and not Path("ran").exists()


def test_the_kept_state_of_a_training_is_never_unpickled(here, capsys):
    Path(".new.safetensors.partial").write_bytes(PICKLES["in a state dict"])
    arguments = ["train", "mlp", "--data", "digits", "--set", "epochs=1", "--model-arg", "widths=[8]"]
    assert called(*arguments, *OUT["file"]) == 0, capsys.readouterr().err
    assert not Path("ran").exists()


def test_tables_and_records_that_are_pickles_are_refused(refused):
    for name in ("run.json", "summary.csv", "paths.csv", "surfaces.csv"):
        Path("theirs").mkdir(exist_ok=True)
        Path("theirs", name).write_bytes(b"\x80\x04\xff" + PICKLES["plain"])
    Path("tiny.toml").write_text(TINY)
    for arguments in (["plot"], ["compare"], ["vtk"], ["run", "tiny.toml", "--out"]):
        assert "theirs" in refused([*arguments, "theirs"])
