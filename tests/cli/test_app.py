import os
import pickle
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import called, train_arguments
from mistakes import MISTAKES
from processes import Command, kill_after_save, limit_files

from pathfinder import build_model
from pathfinder.storage import load_tensors, load_weights
from pathfinder.tables.csv_files import read_table


def listing(folder):
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def test_help_answers_in_under_a_second():
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "pathfinder", "--help"], capture_output=True, text=True)
        seconds.append(time.perf_counter() - began)
    assert done.returncode == 0 and min(seconds) < 1
    for name in ("run", "train", "connect", "score", "curvature", "align", "export", "plot", "vtk", "compare", "list"):
        assert name in done.stdout


def test_run_plot_and_compare(command, work, tmp_path):
    code, out, err = command("run", work / "tiny.toml", "--out", tmp_path / "run", "--set", "minimum.epochs=1")
    assert code == 0 and "bezier" in out and "train barrier" in out and str(tmp_path / "run") in out
    assert "minimum convnet-bn-a" in err  # progress
    for figure in (tmp_path / "run" / "figures").iterdir():
        figure.unlink()
    code, out, _ = command("plot", tmp_path / "run")
    assert code == 0 and len(out.split()) == 4 == len(list((tmp_path / "run" / "figures").iterdir()))
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    code, out, _ = command("compare", tmp_path / "run", tmp_path / "copy", "-o", tmp_path / "both.csv")
    assert code == 0 and out.count("bezier") == 2
    assert len(read_table(tmp_path / "both.csv")) == 2 * len(read_table(tmp_path / "run" / "summary.csv"))


def test_train_connect_score_and_export(command, minima, tmp_path):
    a, b = minima / "a.safetensors", minima / "b.safetensors"
    metadata = load_tensors(a)[1]
    assert metadata["model"]["name"] == "mlp" and metadata["data"] == {"name": "digits"}
    assert not list(minima.glob(".*partial"))

    out = tmp_path / "connected"
    options = ["--set", "epochs=2", "--points", 5, "--planes", "--grid-points", 4]
    code, _, err = command("connect", a, b, "-o", out, "--curve", "bezier", "--curve", "polychain", *options)
    assert code == 0, err
    assert read_table(out / "paths.csv")["path"].unique().tolist() == ["line", "bezier", "polychain"]
    assert read_table(out / "planes.csv")["plane"].unique().tolist() == ["bezier", "polychain"]
    connected = read_table(out / "paths.csv")

    curve = out / "curves" / "a-b-bezier.safetensors"
    code, _, err = command("score", "curve", curve, "-o", tmp_path / "curve", "--points", 5)
    assert code == 0, err
    scored = read_table(tmp_path / "curve" / "paths.csv")
    wanted = connected.query("path == 'bezier'")
    assert np.array_equal(scored["train_loss"], wanted["train_loss"])
    code, _, err = command("score", "line", a, b, "-o", tmp_path / "line", "--points", 9, "--from", -0.5, "--to", 1.5)
    assert code == 0, err
    assert read_table(tmp_path / "line" / "paths.csv")["t"].tolist() == [-0.5, -0.25, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5]
    assert command("score", "line", a, b, "-o", tmp_path / "chosen")[0] == 0
    assert read_table(tmp_path / "chosen" / "summary.csv")["converged"].all()
    assert command("score", "line", a, b, "-o", tmp_path / "beyond", "--from", -0.5)[0] == 0
    assert len(read_table(tmp_path / "beyond" / "paths.csv")) == 61
    code, _, err = command("score", "plane", curve, "-o", tmp_path / "plane", "--points", 4)
    assert code == 0, err
    assert np.array_equal(
        read_table(tmp_path / "plane" / "planes.csv")["train_loss"],
        read_table(out / "planes.csv").query("plane == 'bezier'")["train_loss"],
    )

    middle = tmp_path / "mid.safetensors"
    code, _, err = command("export", curve, "--t", 0.5, "-o", middle)
    assert code == 0, err
    module = build_model("mlp", widths=[8, 8], input_shape=(1, 8, 8))
    module.load_state_dict(load_weights(middle))
    code, _, err = command("score", "plane", a, middle, b, "-o", tmp_path / "three", "--points", 4)
    assert code == 0, err
    markers = read_table(tmp_path / "three" / "plane_markers.csv")
    assert markers["name"].tolist() == ["a", "bend", "b"] and (markers["distance"] < 1e-4).all()


def test_an_exported_network_has_its_batchnorm_reestimated(command, work, tmp_path):
    assert command("run", work / "tiny.toml", "--out", tmp_path / "run")[0] == 0
    curve = tmp_path / "run" / "curves" / "convnet-bn-bezier.safetensors"
    assert command("export", curve, "--t", 0.5, "-o", tmp_path / "mid.safetensors")[0] == 0
    module = build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8))
    module.load_state_dict(load_weights(tmp_path / "mid.safetensors"))
    module.eval()
    from pathfinder import Evaluator, Geometry, WeightSpace, load_data

    data, space = load_data("digits"), WeightSpace(module)
    theta = Geometry.load(curve)(torch.tensor([0.5]).double())[0].detach()
    wanted = Evaluator(space, data, batch_size=512).at(theta)["test_loss"]
    with torch.no_grad():
        found = float(torch.nn.functional.cross_entropy(module(data["test"].x), data["test"].y))
    assert found == pytest.approx(wanted, rel=1e-5)


def test_landscapes_around_a_minimum(command, minima, tmp_path):
    a = minima / "a.safetensors"
    code, _, err = command("score", "direction", a, "-o", tmp_path / "ray", "--points", 5, "--span=-0.5:1.5")
    assert code == 0, err
    assert read_table(tmp_path / "ray" / "surfaces.csv")["x"].tolist() == [-0.5, 0, 0.5, 1, 1.5]
    options = ["--points", "3x2", "--span=-1:1,0:0.5", "--normalize", "layer", "--keep-1d", "--orthogonal"]
    code, _, err = command("score", "surface", a, "-o", tmp_path / "surface", *options)
    assert code == 0, err
    table = read_table(tmp_path / "surface" / "surfaces.csv")
    assert table[["x", "y"]].to_numpy().tolist() == [[x, y] for x in (-1, 0, 1) for y in (0, 0.5)]
    centre = table.query("x == 0 and y == 0")["test_error"].iloc[0]
    code, _, err = command("score", "direction", a, "-o", tmp_path / "one", "--points", 3)
    assert read_table(tmp_path / "one" / "surfaces.csv").query("x == 0")["test_error"].iloc[0] == centre


def test_curvature_at_a_point_along_a_path_and_over_a_surface(command, minima, tmp_path):
    a, b = minima / "a.safetensors", minima / "b.safetensors"
    few = ["--examples", 200, "--samples", 2, "--tolerance", 0.05]
    code, out, err = command("curvature", "point", a, "-o", tmp_path / "point", *few)
    assert code == 0 and "lambda_max" in out, err
    point = read_table(tmp_path / "point" / "curvature.csv")
    assert point["parameters"].tolist() == ["all"]
    code, _, err = command("curvature", "point", a, "-o", tmp_path / "matrices", *few, "--parameters", "matrices")
    matrices = read_table(tmp_path / "matrices" / "curvature.csv")
    assert code == 0 and matrices["parameters"].tolist() == ["matrices"], err
    assert 0 < matrices["lambda_max"].iloc[0] < point["lambda_max"].iloc[0]  # a block has no larger eigenvalue
    assert len(point) == 1 and point["converged"].all() and point["lambda_max"].iloc[0] > point["lambda_min"].iloc[0]
    code, _, err = command("connect", a, b, "-o", tmp_path / "joined", "--set", "epochs=1", "--points", 3)
    curve = tmp_path / "joined" / "curves" / "a-b-bezier.safetensors"
    code, _, err = command("curvature", "path", curve, "-o", tmp_path / "path", "--points", 2, *few)
    assert code == 0, err
    path = read_table(tmp_path / "path" / "curvature.csv")
    assert path["t"].tolist() == [0, 1] and path["trace_se"].notna().all()
    assert path["lambda_max"].iloc[0] == pytest.approx(point["lambda_max"].iloc[0], rel=1e-2)
    code, _, err = command("curvature", "path", a, b, "-o", tmp_path / "line", "--points", 3, *few)
    assert code == 0, err
    line = read_table(tmp_path / "line" / "curvature.csv")
    assert line["lambda_max"].iloc[[0, 2]].tolist() == path["lambda_max"].tolist()  # the same ends
    assert set(line["along"]) == {"line"} and set(path["along"]) == {"bezier"}
    code, _, err = command("curvature", "surface", a, "-o", tmp_path / "map", "--points", "2x3", *few)
    assert code == 0, err
    assert read_table(tmp_path / "map" / "curvature.csv")["y"].tolist() == [-1, 0, 1] * 2
    assert [path.name for path in (tmp_path / "map" / "figures").iterdir()] == ["ratio-surface.png"]


def test_an_aligned_minimum_computes_the_same_nearer_by(command, minima, tmp_path):
    a, b = minima / "a.safetensors", minima / "b.safetensors"
    scores = {}
    for method in ("weights", "activations"):
        code, out, err = command("align", a, b, "-o", tmp_path / f"{method}.safetensors", "--method", method)
        assert code == 0, err
        row = dict(zip(*(line.split() for line in out.splitlines()[:2]), strict=True))
        assert float(row["objective"]) > float(row["objective_before"])
        assert method == "activations" or float(row["distance"]) < float(row["distance_before"])
        kept = tmp_path / f"{method}-line"
        code, _, err = command("score", "line", a, tmp_path / f"{method}.safetensors", "-o", kept, "--points", 5)
        assert code == 0, err
        scores[method] = read_table(kept / "paths.csv")
    command("score", "line", a, b, "-o", tmp_path / "line", "--points", 5)
    plain = read_table(tmp_path / "line" / "paths.csv")
    for table in scores.values():
        assert table["test_error"].iloc[-1] == plain["test_error"].iloc[-1]
        assert table["train_loss"].iloc[-1] == pytest.approx(plain["train_loss"].iloc[-1], rel=1e-5)
    wide = command("align", a, b, "-o", tmp_path / "no.safetensors", "--method", "weight")
    assert wide[0] == 2 and "one of 'weights'" in wide[2] and not (tmp_path / "no.safetensors").exists()


def test_landscapes_of_several_runs_on_one_scale_and_as_vts(command, minima, tmp_path):
    few = ["--points", "3x2", "--examples", 100]
    for side in "ab":
        code, _, err = command("score", "surface", minima / f"{side}.safetensors", "-o", tmp_path / side, *few)
        assert code == 0, err
    code, out, err = command("plot", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "both", "--clip", 3)
    assert code == 0 and len(out.split()) == 3, err
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "both" / "figures").iterdir()}
    assert set(drawn) == {f"{kind}-filter-2d.png" for kind in ("contours", "filled", "relief")}
    assert command("plot", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "both", "--linear")[0] == 0
    assert all(path.read_bytes() != drawn[path.name] for path in (tmp_path / "both" / "figures").iterdir())
    code, out, err = command("vtk", tmp_path / "a")
    assert code == 0 and out.split() == [str(tmp_path / "a" / "vtk" / "filter-2d-minimum.vts")], err


THEIRS = """
import sys, torch, torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.bn, self.head = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(144, 10)

    def forward(self, x):
        return self.head(F.relu(self.bn(self.conv(x))).flatten(1))

if __name__ == "__main__":
    import numpy as np
    arrays = np.load("theirs.npz")
    x, y = torch.from_numpy(arrays["x_train"]), torch.from_numpy(arrays["y_train"])
    for seed, name in ((0, "first.th"), (1, "second.t7")):
        torch.manual_seed(seed)
        net = nn.DataParallel(Net())
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for _ in range(30):
            optimizer.zero_grad()
            F.cross_entropy(net.module(x), y).backward()
            optimizer.step()
        net.eval()
        torch.save({"epoch": 30, "model_state": net.state_dict(), "optimizer_state": optimizer.state_dict()}, name,
                   _use_new_zipfile_serialization=seed == 0)
        with torch.no_grad():
            print(repr(float(F.cross_entropy(net.module(x).double(), y))))
"""


def test_checkpoints_of_plain_torch_score_to_the_loss_their_own_code_computes(command, tmp_path, monkeypatch):
    x, y = np.random.default_rng(0).random((200, 1, 8, 8)).astype(np.float32), np.arange(200) % 10
    np.savez(tmp_path / "theirs.npz", x_train=x, y_train=y, x_test=x[:50], y_test=y[:50])
    (tmp_path / "their_nets.py").write_text(THEIRS)
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([sys.executable, "their_nets.py"], capture_output=True, text=True, check=True)
    wanted = [float(line) for line in done.stdout.split()]
    options = ["--model", "their_nets:Net", "--data", "npz:theirs.npz", "-o", "joined", "--points", 5]
    options += ["--batch-norm", "interpolate", "--set", "epochs=1"]
    code, _, err = command("connect", "first.th", "second.t7", *options)
    assert code == 0, err
    line = read_table("joined/paths.csv").query("path == 'line'").set_index("t")["train_loss"]
    assert [line[0.0], line[1.0]] == pytest.approx(wanted, rel=1e-6)


def test_data_arguments_and_trajectories_of_a_training(command, tmp_path):
    out = tmp_path / "a.safetensors"
    options = ["--set", "epochs=2", "--model-arg", "widths=[4]", "--checkpoint-every", 1]
    data = ["--data-arg", "crop=1", "--data-arg", "validation=100", "--data-arg", "examples=300"]
    code, printed, err = command("train", "mlp", "--data", "digits", "-o", out, *options, *data)
    assert code == 0 and "validation_error" in printed, err
    assert load_tensors(out)[1]["data"] == {"name": "digits", "crop": 1, "validation": 100, "examples": 300}
    kept = sorted((tmp_path / "a-trajectory").iterdir())
    assert [path.name for path in kept] == [f"epoch-000{epoch}.safetensors" for epoch in range(3)]
    line = ["score", "line", kept[0], kept[2], "-o", tmp_path / "line", "--points", 2]
    code, _, err = command(*line)
    assert code == 0, err
    table = read_table(tmp_path / "line" / "paths.csv")
    assert (table[["train_examples", "validation_examples", "test_examples"]] == [300, 100, 360]).all(axis=None)
    printed = dict(zip(printed.split()[::2], printed.replace(",", "").split()[1::2], strict=False))
    assert table["validation_loss"].iloc[1] == pytest.approx(float(printed["validation_loss"]), rel=1e-3)


@pytest.mark.parametrize("at", [1, 8, 17])
def test_a_killed_training_goes_on_bit_for_bit(at, tmp_path):
    options = ["--data-arg", "crop=1", "--set", "micro_batch_size=50", "--precision", "bf16"]
    arguments = [*train_arguments(tmp_path / "a.safetensors"), *options]
    code, _ = Command(*arguments, patched=kill_after_save, given=("", at)).finish()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert code == -9 and left == [".a.safetensors.lock", ".a.safetensors.partial"]
    assert called(*arguments) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    assert called(*train_arguments(tmp_path / "straight.safetensors"), *options) == 0
    wanted = load_weights(tmp_path / "straight.safetensors")
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in load_weights(tmp_path / "a.safetensors").items())


def test_lists(command):
    for what, names in (
        ("models", ["mlp", "convnet", "convnet-bn"]),
        ("data", ["digits", "npz:PATH"]),
        ("curves", ["line", "polychain", "bezier"]),
    ):
        code, out, _ = command("list", what)
        assert code == 0 and all(name in out for name in names)


class Malicious:
    def __reduce__(self):
        return (os.system, ("touch ran",))


@pytest.fixture
def mistaken(minima, tmp_path, monkeypatch):
    """A folder with everything the mistakes need."""
    for path in minima.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "folder").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "run.json").write_text('{"name": "digits"}')
    (tmp_path / "broken.toml").write_text("[data\n")
    (tmp_path / "cut.safetensors").write_bytes((minima / "b.safetensors").read_bytes()[:-30])
    (tmp_path / "evil.pt").write_bytes(pickle.dumps({"state_dict": Malicious()}))
    weights = load_weights(minima / "a.safetensors")
    torch.save(weights, tmp_path / "plain.pt")
    (tmp_path / "cut.npz").write_bytes((minima / "good.npz").read_bytes()[:3000])
    torch.save({name: tensor * torch.nan for name, tensor in weights.items()}, tmp_path / "nan.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_changes_nothing(name, command, mistaken, without_shapes):
    arguments, value, remedy = MISTAKES[name]
    before = listing(mistaken)
    code, out, err = command(*arguments)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1 and value in err and remedy in err, err
    assert listing(mistaken) == before


def test_there_are_mistakes_of_every_command():
    assert len(MISTAKES) >= 150
    of = {mistake[0][0] for mistake in MISTAKES.values()}
    assert of >= {"run", "train", "connect", "score", "curvature", "align", "export", "plot", "compare", "vtk", "list"}


THEIR_END = """
import sys
from torch import nn

class Net(nn.Module):
    def __init__(self, **arguments):
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x):
        if self.training:
            END
        return self.layer(x.flatten(1).float())
"""


@pytest.mark.parametrize(
    ("name", "end", "said"),
    [
        ("leaves", "sys.exit(0)", ["your code stopped the command", "SystemExit", "net_leaves.py"]),
        ("torch", 'raise RuntimeError("can\'t allocate memory: you tried to allocate 99 bytes")', ["out of memory"]),
        ("numpy", "raise MemoryError('Unable to allocate 8 TiB for an array')", ["where 8 tib", "micro_batch_size"]),
    ],
)
def test_a_training_that_ends_in_the_middle_says_why(name, end, said, command, tmp_path, monkeypatch):
    (tmp_path / f"net_{name}.py").write_text(THEIR_END.replace("END", end))
    monkeypatch.chdir(tmp_path)
    code, out, err = command("train", f"net_{name}:Net", "--data", "digits", *_OUT)
    lines = [line for line in err.splitlines() if " s left" not in line]
    assert (code, out, len(lines)) == (2, "", 1), err
    assert all(part in lines[0] for part in said)
    assert not (tmp_path / "new.safetensors").exists()


_OUT = ["-o", "new.safetensors"]


def test_another_network_or_pair_never_reuses_scores(command, minima, tmp_path, monkeypatch):
    (tmp_path / "own_mlps.py").write_text(
        "from pathfinder.models.mlp import MLP\n"
        "from torch import nn\n"
        "def tanh(**arguments):\n"
        "    module = MLP(widths=[8, 8], input_shape=(1, 8, 8))\n"
        "    module.layers[1] = module.layers[3] = nn.Tanh()\n"
        "    return module\n"
    )
    monkeypatch.chdir(tmp_path)
    a, b = minima / "a.safetensors", minima / "b.safetensors"
    line = ["score", "line", a, b, "-o", "line", "--points", 3]
    assert command(*line)[0] == 0
    relu = read_table("line/paths.csv")["train_loss"]
    assert command(*line, "--model", "own_mlps:tanh", "--force")[0] == 0
    assert not np.allclose(read_table("line/paths.csv")["train_loss"], relu)
    code, _, err = command("score", "line", b, a, "-o", "line", "--points", 3)
    assert code == 2 and "choose another folder" in err


def test_a_curve_of_ones_own_is_named_by_its_import_path(command, minima, tmp_path, monkeypatch):
    (tmp_path / "own_curves.py").write_text(
        "import torch\n"
        "from pathfinder import Curve\n"
        "class HalfTurn(Curve):\n"
        "    def coefficients(self, t):\n"
        "        along, up = (1 - torch.cos(torch.pi * t)) / 2, torch.sin(torch.pi * t)\n"
        "        return torch.stack([1 - along - up / 2, up, along - up / 2], dim=1)\n"
    )
    monkeypatch.chdir(tmp_path)
    connect = ["connect", minima / "a.safetensors", minima / "b.safetensors", "--points", 3, "--set", "epochs=1"]
    code, _, err = command(*connect, "-o", "new", "--curve", "own_curves:HalfTurn", "--workers", 2)
    assert code == 0, err
    assert set(read_table("new/paths.csv")["path"]) == {"line", "own_curves-HalfTurn"}
    code, _, err = command(*connect, "-o", "other", "--curve", "torch.nn:Linear")
    assert code == 2 and "torch.nn:Linear is not a curve; name a subclass of pathfinder.Curve" in err


def test_other_crops_or_a_longer_line_are_scored_again(command, minima, tmp_path):
    line = ["score", "line", minima / "bn.safetensors", minima / "bn2.safetensors", "-o", tmp_path / "line"]
    assert command(*line, "--points", 3)[0] == 0
    code, _, err = command(*line, "--points", 3, "--data-arg", "crop=2")
    assert code == 2 and "1 scored path redone; add --force" in err
    code, _, err = command(*line, "--points", 11, "--from", -0.33, "--to", 1.4, "--force")
    t = read_table(tmp_path / "line" / "paths.csv")["t"]
    assert code == 0 and len(t) == 13 and {0.0, 1.0} < set(t), err


def test_training_that_diverges_says_where_and_keeps_the_last_good_weights(command, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"earlier")
    options = ["--set", "lr=1e30", "--set", "schedule=constant", "--set", "epochs=9", "--force"]
    code, _, err = command("train", "mlp", "--data", "digits", "-o", tmp_path / "a.safetensors", *options)
    kept = tmp_path / "a.last-good.safetensors"
    assert code == 1 and "at step" in err and "lower the learning rate" in err and str(kept) in err
    assert all(tensor.isfinite().all() for tensor in load_weights(kept).values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.last-good.safetensors", "a.safetensors"]
    assert (tmp_path / "a.safetensors").read_bytes() == b"earlier"


def test_a_disk_that_fills_up_is_one_line_and_leaves_nothing_half_written(work, tmp_path):
    arguments = ["run", work / "tiny.toml", "--out", tmp_path / "run", "--set", "model.widths=[32, 32]"]
    code, lines = Command(*arguments, patched=limit_files, given=(6000,)).finish()
    assert code == 2 and len(lines) == 1, lines
    assert "cannot write" in lines[0] and "free some space" in lines[0] and str(tmp_path) in lines[0]
    assert [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()] == ["run.json"]
