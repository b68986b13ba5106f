import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import TINY
from processes import Command, kill_after_save

from pathfinder import (
    Evaluator,
    Geometry,
    Line,
    PathfinderError,
    WeightSpace,
    build_model,
    hessian_extremes,
    load_data,
    random_directions,
)
from pathfinder.errors import FailedWorkError, PathfinderWarning
from pathfinder.experiment import checks, work
from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.kept import stage_of
from pathfinder.experiment.run import Experiment
from pathfinder.storage import load_weights
from pathfinder.storage.keys import digest_of
from pathfinder.tables.csv_files import read_table

# tiny runs train too briefly for the running averages of BatchNorm
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*running averages lag:pathfinder.errors.PathfinderWarning"),
    pytest.mark.filterwarnings("ignore:.*holds this run with other settings:pathfinder.errors.PathfinderWarning"),
]
TABLES = ["minima", "weights", "training", "paths", "planes", "plane_markers", "plane_paths", "summary", "replicates"]


@pytest.fixture(autouse=True)
def only_wanted_figures(request, monkeypatch):
    """Draw figures only where a test looks at them: they take longer than the tiny runs."""
    if request.node.get_closest_marker("figures") is None:
        monkeypatch.setattr(Experiment, "draw", lambda self, engine: None)


@pytest.fixture(scope="module")
def done(tiny, tmp_path_factory):
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "done"
    Experiment(load_config(tiny), folder).run()
    return folder


def csv_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(Path(folder).glob("*.csv"))}


def test_a_run_leaves_the_files_the_design_names(done):
    assert {path.stem for path in done.glob("*.csv")} == set(TABLES)
    weights = {path.relative_to(done).as_posix() for path in done.rglob("*.safetensors")}
    assert weights == {f"minima/convnet-bn-{side}.safetensors" for side in "ab"} | {
        "curves/convnet-bn-bezier.safetensors"
    }
    figures = {"paths-convnet-bn", "training-convnet-bn", "plane-convnet-bn-bezier", "weights"}
    assert {path.stem for path in (done / "figures").glob("*.png")} == figures
    record = json.loads((done / "run.json").read_text())
    assert {"config", "versions", "commit", "device", "threads", "data", "seconds", "seed"} <= set(record)
    assert not list(done.rglob("*.tmp"))


def test_columns_are_those_of_the_design(done):
    columns = {name: list(read_table(done / f"{name}.csv").columns) for name in TABLES}
    assert columns["paths"][:9] == [
        "pair", "path", "t", "arc_length", "norm", "train_loss", "test_loss", "train_error", "test_error",
    ]  # fmt: skip
    assert columns["planes"][:5] == ["pair", "plane", "x", "y", "norm"]
    assert columns["plane_markers"] == ["pair", "plane", "name", "x", "y", "distance"]
    assert columns["plane_paths"] == ["pair", "plane", "path", "t", "x", "y", "distance"]
    assert columns["training"][:9] == [
        "pair", "fit", "epoch", "step", "lr", "train_loss", "test_loss", "train_error", "test_error",
    ]  # fmt: skip
    assert columns["weights"] == ["pair", "name", "low", "high", "weights", "density"]
    for name in ("paths", "planes"):
        table = read_table(done / f"{name}.csv")
        assert (table[["train_examples", "test_examples", "batch_norm_examples"]] == [200, 200, 300]).all(axis=None)


@pytest.mark.filterwarnings("ignore::pathfinder.errors.PathfinderWarning")
def test_the_largest_points_are_rescored_on_all_examples(tiny, tmp_path):
    changes = ["score.rescore=true", "minimum.epochs=1", "curve.epochs=1", "planes.points=2"]
    Experiment(load_config(tiny, changes), tmp_path / "run").run()
    found = read_table(tmp_path / "run" / "rescored.csv")
    Experiment(
        load_config(tiny, [*changes, "score.batch_norm=stored", "planes=false"]), tmp_path / "run", force=True
    ).run()
    assert not found["test_loss"].equals(read_table(tmp_path / "run" / "rescored.csv")["test_loss"])
    Experiment(load_config(tiny, changes), tmp_path / "run", force=True).run()
    assert found.equals(read_table(tmp_path / "run" / "rescored.csv"))
    paths = read_table(tmp_path / "run" / "paths.csv").set_index(["path", "t"])
    assert (found[["train_examples", "test_examples", "batch_norm_examples"]] == [1437, 360, 1437]).all(axis=None)
    for name in ("line", "bezier"):
        inside = paths.loc[name].query("0 < t < 1")
        wanted = {inside[f"{s}_{m}"].idxmax() for s in ("train", "test") for m in ("loss", "error")}
        assert {0, 1, *wanted} <= set(found.query("path == @name")["t"])
    module = build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8))
    space = WeightSpace(module)
    ends = [space.vector(load_weights(tmp_path / "run" / "minima" / f"convnet-bn-{side}.safetensors")) for side in "ab"]
    t = found.query("path == 'line'")["t"].iloc[1]
    scores = Evaluator(space, load_data("digits"), batch_size=512).at(Line(*ends)(torch.tensor([t]).double())[0])
    assert found.query("path == 'line'")["test_loss"].iloc[1] == pytest.approx(scores["test_loss"], rel=1e-6)


def test_a_trajectory_is_kept_and_ends_at_the_minimum(tiny, tmp_path):
    changes = ["minimum.epochs=4", "minimum.checkpoint_every=2", "curve.epochs=1", "planes.points=2"]
    Experiment(load_config(tiny, changes), tmp_path / "run").run()
    kept = sorted(path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").glob("trajectories/*/*"))
    assert kept == [f"trajectories/convnet-bn-{s}/epoch-000{e}.safetensors" for s in "ab" for e in (0, 2, 4)]
    again = [*changes, "minimum.checkpoint_every=3", "minimum.lr=0.2"]
    Experiment(load_config(tiny, again), tmp_path / "run", force=True).run()
    folder = tmp_path / "run" / "trajectories" / "convnet-bn-b"
    assert sorted(path.name for path in folder.iterdir()) == [f"epoch-000{epoch}.safetensors" for epoch in (0, 3, 4)]
    shutil.rmtree(folder)
    Experiment(load_config(tiny, [*changes]), tmp_path / "run", force=True).run()
    last, end = (load_weights(tmp_path / "run" / name) for name in (kept[2], "minima/convnet-bn-a.safetensors"))
    assert all(torch.equal(tensor, end[name]) for name, tensor in last.items())


SURFACES = """
[[surfaces]]
axes = 1
points = 5
minima = ["a", "b"]
[[surfaces]]
points = [3, 2]
span = [[-1.0, 1.0], [0.0, 0.5]]
normalize = "layer"
[[surfaces]]
directions = "trajectory"
points = 3
"""


@pytest.mark.figures
def test_surfaces_around_minima_and_the_trajectory_on_them(tiny, tmp_path):
    config = tmp_path / "surfaces.toml"
    config.write_text(tiny.read_text() + SURFACES)
    changes = ["minimum.epochs=3", "minimum.checkpoint_every=1", "curve.epochs=1", "planes.points=2"]
    Experiment(load_config(config, changes), tmp_path / "run").run()
    table = read_table(tmp_path / "run" / "surfaces.csv")
    rows = table.groupby(["surface", "name"], sort=False).size()
    assert rows.to_dict() == {
        ("filter-1d", "convnet-bn-a"): 5, ("layer-2d", "convnet-bn-a"): 6, ("trajectory-2d", "convnet-bn-a"): 9,
        ("filter-1d", "convnet-bn-b"): 5,
    }  # fmt: skip
    layer = table.query("surface == 'layer-2d'")
    assert layer[["x", "y"]].to_numpy().tolist() == [[x, y] for x in (-1, 0, 1) for y in (0, 0.5)]
    space = WeightSpace(build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8)))
    kept = load_weights(tmp_path / "run" / "minima" / "convnet-bn-a.safetensors")
    a, own = space.vector(kept), space.statistics(kept)
    u, v = random_directions(space, a, 2, normalize="layer")
    evaluator = Evaluator(space, load_data("digits"), batch_size=512, examples=200)
    for _, row in layer.iterrows():
        found = evaluator.at(a + row["x"] * u + row["y"] * v, own)
        assert found["test_loss"] == pytest.approx(row["test_loss"], rel=1e-4)
    walked = read_table(tmp_path / "run" / "trajectory.csv")
    own = walked.query("surface == 'trajectory-2d'")
    assert own["epoch"].tolist() == [0, 1, 2, 3] and own["explained_x"].iloc[0] > own["explained_y"].iloc[0] > 0
    assert own.iloc[-1][["x", "y", "distance"]].abs().max() == 0
    assert (walked.query("surface == 'layer-2d'")["distance"].iloc[:-1] > 0.1).all()
    names = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert {"profile-filter-1d", "contours-layer-2d", "filled-trajectory-2d", "relief-layer-2d"} <= names
    with pytest.raises(PathfinderError, match="surface `trajectory-2d` needs checkpoints .* set minimum.checkpoint_ev"):
        load_config(config)


CURVATURE = """
[[curvature]]
along = "bezier"
points = 2
examples = 50
samples = 2
[[surfaces]]
name = "around"
points = 3
minima = ["b"]
[[curvature]]
along = "around"
points = [2, 2]
examples = 50
parameters = "matrices"
"""


@pytest.mark.figures
def test_curvature_along_a_curve_and_over_a_surface_is_that_of_each_point(tiny, tmp_path):
    config = tmp_path / "curvature.toml"
    config.write_text(tiny.read_text() + CURVATURE)
    changes = ["minimum.epochs=3", "curve.epochs=1", "planes.points=2"]
    Experiment(load_config(config, changes), tmp_path / "run").run()
    table = read_table(tmp_path / "run" / "curvature.csv")
    assert table["along"].tolist() == ["around"] * 4 + ["bezier"] * 2
    assert table["name"].fillna("").tolist() == ["convnet-bn-b"] * 4 + [""] * 2
    assert table["t"].dropna().tolist() == [0, 1] and table["trace"].notna().tolist() == [False] * 4 + [True] * 2
    space = WeightSpace(build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8)))
    data = load_data("digits")
    evaluator = Evaluator(space, data, batch_size=512, examples=200, batch_norm_examples=300)
    kept = load_weights(tmp_path / "run" / "minima" / "convnet-bn-b.safetensors")
    b = space.vector(kept)
    u, v = random_directions(space, b, 2)
    for _, row in table.iterrows():
        theta = b + row["x"] * u + row["y"] * v if row["along"] == "around" else b
        if row["along"] == "around" or row["t"] == 1:
            stored = row["along"] == "around"
            statistics = space.statistics(kept) if stored else evaluator.reestimate(theta)
            assert row["batch_norm"] == ("stored" if stored else "training")
            chosen = "matrices" if row["along"] == "around" else "all"
            found = hessian_extremes(
                space, theta, data["train"].subset(50, 0), statistics=statistics, tolerance=1e-2, batch_size=128,
                parameters=chosen,
            )  # fmt: skip
            assert row["parameters"] == chosen
            assert row["converged"] == found.converged
            assert row["lambda_max"] == pytest.approx(found.highest, rel=1e-2)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["scored"]["batch_norm"] == "training" and record["curvature"][1]["points"] == [2, 2]
    names = {path.stem for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert {"curvature-convnet-bn", "ratio-around", "filled-around"} <= names
    before = csv_bytes(tmp_path / "run")
    Experiment(load_config(config, changes), tmp_path / "run").run()
    assert csv_bytes(tmp_path / "run") == before


def test_aligned_paths_lead_to_the_same_network_nearer_by(tiny, tmp_path):
    config = tmp_path / "align.toml"
    config.write_text(tiny.read_text() + '[align]\nmethod = "weights"\norders = 2\n')
    changes = ["minimum.epochs=3", "curve.epochs=1", "planes.points=2"]
    summary = Experiment(load_config(config, changes), tmp_path / "run").run()
    paths = ["line", "bezier", "aligned-line", "aligned-bezier"]
    assert list(dict.fromkeys(summary["path"])) == paths
    assert summary.drop_duplicates("path")["epochs"].tolist() == [0, 1, 0, 1]
    table = read_table(tmp_path / "run" / "paths.csv")
    last = table[table["t"] == 1].set_index("path")
    assert last.loc["aligned-line", "test_error"] == last.loc["line", "test_error"]
    assert last.loc["aligned-line", "train_loss"] == pytest.approx(last.loc["line", "train_loss"], rel=1e-4)
    assert last.loc["aligned-line", "arc_length"] < last.loc["line", "arc_length"]
    row = read_table(tmp_path / "run" / "alignment.csv").iloc[0]
    assert row["method"] == "weights" and row["orders"] == 2 and row["distance"] < row["distance_before"]
    minima = read_table(tmp_path / "run" / "minima.csv").set_index("name")
    assert list(minima.index) == ["convnet-bn-a", "convnet-bn-b", "convnet-bn-b-aligned"]
    assert minima.loc["convnet-bn-b-aligned", "test_error"] == minima.loc["convnet-bn-b", "test_error"]
    assert (minima["aligned"].fillna("") == ["", "", "weights"]).all()
    assert (tmp_path / "run" / "curves" / "convnet-bn-aligned-bezier.safetensors").exists()
    before = csv_bytes(tmp_path / "run")
    Experiment(load_config(config, changes), tmp_path / "run").run()
    assert csv_bytes(tmp_path / "run") == before


@pytest.mark.figures
def test_every_two_minima_of_a_group_are_matched(tmp_path):
    config = tmp_path / "matrix.toml"
    config.write_text(
        "[data]\nname = 'digits'\n[model]\nname = 'mlp'\nwidths = [12]\n[minimum]\nepochs = 3\n"
        "[[pairs]]\nreplicates = 2\n"
        "[score]\npoints = 5\n[align]\nevery_pair = true\nrepair = true\norders = 2\n"
        "structure = { hidden = ['layers.0.weight:0', 'layers.0.bias:0', 'layers.2.weight:1'] }\n"
    )
    summary = Experiment(load_config(config), tmp_path / "run").run()
    table = read_table(tmp_path / "run" / "barriers.csv")
    assert table.groupby("method").size().to_dict() == {"none": 6, "weights": 6}
    assert (table[["train_examples", "test_examples", "batch_norm_examples"]] == [1437, 360, 0]).all(axis=None)
    own = table.query("a == 'mlp-1-a' and b == 'mlp-1-b'").set_index("method")
    paths = summary.query("pair == 'mlp-1' and split == 'train' and metric == 'loss'").set_index("path")
    for method, path in (("none", "line"), ("weights", "aligned-line")):
        assert own.loc[method, "train_loss_barrier"] == pytest.approx(paths.loc[path, "barrier"], rel=1e-6)
    assert set(paths.index) == {"line", "aligned-line", "aligned-line-repair"}
    plain, matched = (table.query(f"method == '{m}'")["train_loss_barrier"].to_numpy() for m in ("none", "weights"))
    assert (matched < plain).all() and (tmp_path / "run" / "figures" / "barriers-mlp.png").exists()

    before, again = csv_bytes(tmp_path / "run"), Experiment(load_config(config), tmp_path / "run")
    for piece in again.plan.pieces.values():
        if piece.work == "measure_barrier":  # as if the run had been killed at their first point
            stage_of(again.folder.path, piece).save({"points": [], "finished": False})
    again.run()
    assert csv_bytes(tmp_path / "run") == before


def test_a_curve_starts_from_the_repaired_line_if_its_units_can_be_repaired(tmp_path):
    config = tmp_path / "start.toml"
    config.write_text(
        "[data]\nname = 'digits'\n[minimum]\nepochs = 3\n"
        "[[pairs]]\nminimum = { model = { name = 'mlp', widths = [12] } }\n"
        "[[pairs]]\nminimum = { model = { name = 'convnet-bn', widths = [4, 4] } }\n"
        "[curve]\naligned = true\nepochs = 0\n[[curves]]\nname = 'line-first'\n"
        "[[curves]]\nname = 'repair-first'\nstart = 'repair'\n[score]\npoints = 3\n[align]\nrepair = true\norders = 2\n"
    )
    summary = Experiment(load_config(config), tmp_path / "run").run()
    paths = read_table(tmp_path / "run" / "paths.csv").query("t == 0.5").set_index(["pair", "path"])["train_loss"]
    start, line, repaired = (f"aligned-{name}" for name in ("repair-first", "line-first", "line-repair"))
    assert paths["mlp", start] == pytest.approx(paths["mlp", repaired], rel=1e-4)
    assert paths["mlp", start] < paths["mlp", line]
    assert paths["convnet-bn", start] == paths["convnet-bn", line]
    assert set(summary["pair"]) == {"mlp", "convnet-bn"}
    with pytest.raises(PathfinderError, match="start = repair needs the aligned b; set aligned = true"):
        load_config(config, ["curve.aligned=false"])
    with pytest.raises(PathfinderError, match="start = repair bends a curve, but it has bends = 0"):
        load_config(config, ["curve.bends=0"])
    with pytest.raises(PathfinderError, match="two paths are called `aligned-line-repair`"):
        load_config(config, ["curves=[{name='line-repair'}]"])
    with pytest.raises(PathfinderError, match="REPAIR needs 2 examples or more at a time"):
        Experiment(load_config(config, ["score.batch_size=1", "align.repair=false"]), tmp_path / "new")


@pytest.mark.filterwarnings("ignore::pathfinder.errors.PathfinderWarning")
def test_augmented_data_is_another_fit(tiny, tmp_path):
    changes = ["minimum.epochs=1", "curve.epochs=1", "planes.points=2", "score.points=2"]
    losses = []
    for augmented in ([], ["data.crop=1"], ["data.flip=true"]):
        Experiment(load_config(tiny, [*changes, *augmented]), tmp_path / "run", force=True).run()
        losses.append(tuple(read_table(tmp_path / "run" / "minima.csv")["train_loss"]))
    assert len(set(losses)) == 3


def test_every_row_of_a_path_is_what_its_files_score(done):
    data, module = load_data("digits"), build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8))
    space = WeightSpace(module)
    curve = Geometry.load(done / "curves" / "convnet-bn-bezier.safetensors")
    a = load_weights(done / "minima" / "convnet-bn-a.safetensors")
    assert torch.equal(curve.start, space.vector(a))
    table = read_table(done / "paths.csv").query("path == 'bezier'")
    evaluator = Evaluator(space, data, batch_size=512, examples=200, batch_norm_examples=300)
    for t, loss in zip(table["t"], table["train_loss"], strict=True):
        assert evaluator.at(curve(torch.tensor([t]).double())[0])["train_loss"] == pytest.approx(loss, rel=1e-6)


def test_the_plane_reproduces_the_points_it_was_drawn_through(done):
    space = WeightSpace(build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8)))
    curve = Geometry.load(done / "curves" / "convnet-bn-bezier.safetensors")
    from pathfinder import Plane

    plane = Plane.through(curve.start, curve.bends[0].detach(), curve.end)
    evaluator = Evaluator(space, load_data("digits"))
    drawn = evaluator.score(plane, plane.landmarks).table["train_loss"]
    wanted = [evaluator.at(anchor)["train_loss"] for anchor in curve.anchors]
    assert np.allclose(drawn, wanted, rtol=1e-4)
    markers = read_table(done / "plane_markers.csv")
    assert markers["name"].tolist() == ["a", "bend", "b"] and (markers["distance"] < 1e-5 * curve.length()).all()
    inside = read_table(done / "plane_paths.csv").query("path in ['bezier', 'line']")
    assert len(inside) == 10 and (inside["distance"] < 1e-5 * curve.length()).all()


def test_two_runs_give_the_same_bytes_and_a_third_has_nothing_to_do(tiny, done, tmp_path):
    reports = []

    def report(name):
        return lambda finished, total: reports.append((name, finished, total))

    Experiment(load_config(tiny), tmp_path / "again").run()
    assert csv_bytes(tmp_path / "again") == csv_bytes(done)
    Experiment(load_config(tiny), tmp_path / "again", report).run()
    assert csv_bytes(tmp_path / "again") == csv_bytes(done)
    assert reports and all(finished == total for _, finished, total in reports)


def test_set_redoes_only_what_changed(tiny, tmp_path):
    Experiment(load_config(tiny), tmp_path / "run").run()
    reports = {}

    def report(name):
        return lambda finished, total: reports.setdefault(name, []).append(finished)

    with pytest.raises(PathfinderError, match=r"\(curve.epochs 2 -> 3\): 2 minima and 1 scored path kept, .*--force"):
        Experiment(load_config(tiny, ["curve.epochs=3"]), tmp_path / "run", report).run()
    assert not reports
    with pytest.warns(PathfinderWarning, match="1 curve, 1 scored path and 1 plane redone"):
        Experiment(load_config(tiny, ["curve.epochs=3"]), tmp_path / "run", report, force=True).run()
    redone = {name for name, finished in reports.items() if len(finished) > 1}
    assert redone == {"curve convnet-bn-bezier", "score convnet-bn-bezier", "plane convnet-bn-bezier"}
    assert read_table(tmp_path / "run" / "training.csv").query("fit == 'bezier'")["epoch"].tolist() == [1, 2, 3]


def test_a_run_killed_in_a_minimum_a_curve_and_a_plane_ends_with_the_same_bytes(tiny, done, tmp_path):
    folder = tmp_path / "killed"
    for stage, saves in (("minimum-convnet-bn-b", 7), ("curve-convnet-bn-bezier", 12), ("plane-convnet-bn-bezier", 5)):
        run = Command("run", tiny, "--out", folder, patched=kill_after_save, given=(stage, saves))
        code, lines = run.finish()
        assert code == -signal.SIGKILL, lines
        assert not (folder / "summary.csv").exists()
    seen = []
    Experiment(load_config(tiny), folder, lambda name: lambda finished, total: seen.append((name, finished))).run()
    assert next(finished for name, finished in seen if name == "plane convnet-bn-bezier") == 5
    assert csv_bytes(folder) == csv_bytes(done)


def test_pairs_share_a_minimum_and_replicates_are_summed_up(tiny, tmp_path):
    text = TINY.replace("[planes]\npoints = 4\n", "")
    text += "[[pairs]]\nname = 'same'\nsame_init = true\ncurves = []\n"
    text += "[[pairs]]\nname = 'other'\nreplicates = 2\ncurves = []\n"
    path = tmp_path / "pairs.toml"
    path.write_text(text)
    reports = set()
    summary = Experiment(load_config(path), tmp_path / "run", lambda name: reports.add(name) or (lambda *_: None)).run()
    assert summary["pair"].unique().tolist() == ["same", "other-1", "other-2"]
    assert "minimum same-a" in reports and "minimum other-1-a" not in reports  # the same recipe and seeds
    minima = read_table(tmp_path / "run" / "minima.csv").set_index("name")
    assert minima.loc["same-a", "train_loss"] == minima.loc["other-1-a", "train_loss"]
    assert minima.loc["same-b", "init_seed"] == minima.loc["same-a", "init_seed"]
    table = read_table(tmp_path / "run" / "replicates.csv").query("quantity == 'barrier' and group == 'other'")
    assert (table["pairs"] == 2).all() and table["std"].notna().all()


def test_a_curve_is_estimated_where_another_minimum_of_its_network_comes_first(tmp_path):
    path = tmp_path / "both.toml"
    path.write_text(TINY + "[[minima]]\nname = 'alone'\n[[surfaces]]\npoints = 2\n[[pairs]]\n")
    seconds = Experiment(load_config(path), tmp_path / "run").estimate().seconds
    assert next(iter(seconds)) == "minimum alone" and seconds["curve convnet-bn-bezier"] > 0


def test_a_copied_training_has_the_checkpoints_of_the_first_and_no_others(tmp_path):
    path, folder = tmp_path / "pairs.toml", tmp_path / "run" / "trajectories" / "two-a"
    seeds = "a.seed = 1\nb.seed = {}\ncurves = []\n"
    more = "".join(f"[[pairs]]\nname = '{name}'\n{seeds.format(b)}" for name, b in (("one", 2), ("two", 3)))
    path.write_text(TINY.replace("[planes]\npoints = 4\n", "") + more)
    for every in (1, 2):
        changes = ["minimum.epochs=2", f"minimum.checkpoint_every={every}"]
        Experiment(load_config(path, changes), tmp_path / "run", force=True).run()
        kept = sorted(file.name for file in folder.iterdir())
        assert kept == [f"epoch-000{epoch}.safetensors" for epoch in range(0, 3, every)]


@pytest.mark.filterwarnings("ignore:.* with the examples that score the path:pathfinder.errors.PathfinderWarning")
def test_paths_may_choose_their_points(tiny, tmp_path):
    config = load_config(tiny, ["score.points='auto'", "score.tolerance=0.05", "score.rescore=true"])
    Experiment(config, tmp_path / "run").run()
    paths, summary = (read_table(tmp_path / "run" / f"{name}.csv") for name in ("paths", "summary"))
    module, curves = build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8)), tmp_path / "run" / "curves"
    evaluator = Evaluator(
        WeightSpace(module), load_data("digits"), examples=200, batch_norm_examples=300, batch_size=512
    )
    curve = Geometry.load(curves / "convnet-bn-bezier.safetensors")
    for name, path in (("line", Line(curve.start, curve.end)), ("bezier", curve)):
        found, rows = evaluator.score(path, "auto", tolerance=0.05), paths[paths["path"] == name]
        assert rows["t"].tolist() == found.table["t"].tolist() and 7 <= len(rows) < 20
        assert rows["train_loss"].tolist() == pytest.approx(found.table["train_loss"].tolist(), rel=1e-5)
        row = summary.query("path == @name and split == 'train' and metric == 'loss'").iloc[0]
        assert row["argmax_low"] <= row["argmax"] <= row["argmax_high"] and row["converged"]
    whole = csv_bytes(tmp_path / "run")
    for kept in (tmp_path / "run" / ".work").glob("score-*.pt"):  # some of the first round
        state = torch.load(kept, weights_only=False)
        found = state["state"]
        first = [found["points"][found["t"].tolist().index(t)] for t in np.linspace(0, 1, 7)[:4].tolist()]
        state["state"] = {"points": first, "finished": False}
        state["digest"] = digest_of(state["state"])
        torch.save(state, kept)
    Experiment(config, tmp_path / "run").run(workers=2)
    assert csv_bytes(tmp_path / "run") == whole


def test_tables_of_a_pair_are_there_once_it_is_done(tiny, tmp_path):
    path, seen = tmp_path / "pairs.toml", {}
    path.write_text(TINY.replace("[planes]\npoints = 4\n", "") + "[[pairs]]\nreplicates = 3\ncurves = []\n")

    def report(name):
        file = tmp_path / "run" / "summary.csv"
        seen[name] = read_table(file)["pair"].unique().tolist() if file.exists() else []
        return lambda finished, total: None

    Experiment(load_config(path), tmp_path / "run", report).run()
    assert seen["score convnet-bn-1-line"] == []
    assert seen["minimum convnet-bn-2-a"] == ["convnet-bn-1"]
    assert seen["score convnet-bn-3-line"] == ["convnet-bn-1", "convnet-bn-2"]
    Experiment(load_config(path), tmp_path / "run", report).run()  # nothing is done again, and no table gets shorter
    assert seen["minimum convnet-bn-1-a (kept)"] == ["convnet-bn-1", "convnet-bn-2", "convnet-bn-3"]
    assert seen["score convnet-bn-3-line (kept)"] == ["convnet-bn-1", "convnet-bn-2", "convnet-bn-3"]


def test_a_folder_of_another_experiment_is_refused(tiny, done, tmp_path):
    before = sorted(path.name for path in done.iterdir())
    with pytest.raises(PathfinderError, match="holds the experiment `tiny`, not `other`"):
        Experiment(load_config(tiny, ["name=other"]), done)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(PathfinderError, match="holds other files, not `tiny`"):
        Experiment(load_config(tiny), tmp_path)
    assert sorted(path.name for path in done.iterdir()) == before


def test_a_piece_that_lacks_memory_leaves_the_rest(tmp_path, monkeypatch):
    plain = work.score_points

    def scarce(place, stage, progress, target, *rest):
        if target[-1] == "bezier":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(place, stage, progress, target, *rest)

    monkeypatch.setattr(work, "score_points", scarce)
    (tmp_path / "tiny.toml").write_text(TINY.replace("convnet-bn", "mlp"))
    with pytest.raises(FailedWorkError, match="bezier.*: out of memory, where 2.00 gib more were needed"):
        Experiment(load_config(tmp_path / "tiny.toml"), tmp_path / "run").run()
    assert set(read_table(tmp_path / "run" / "paths.csv")["path"]) == {"line"}


def test_divergence_keeps_the_last_good_weights(tiny, tmp_path):
    config = load_config(tiny, ["minimum.lr=1e12", "minimum.schedule=constant", "minimum.epochs=20"])
    with pytest.raises(PathfinderError, match=r"convnet-bn-a: training diverged: the loss is .* at step \d+") as error:
        Experiment(config, tmp_path / "run").run()
    kept = tmp_path / "run" / "convnet-bn-a.last-good.safetensors"
    assert str(kept) in str(error.value)
    assert all(tensor.isfinite().all() for tensor in load_weights(kept).values())
    assert not list((tmp_path / "run").rglob("*.csv"))


def test_ends_are_scored_with_stored_and_with_re_estimated_statistics(tiny, tmp_path):
    changes = ["data.crop=2", "minimum.epochs=6", "curve.epochs=1", "planes.points=2", "score.points=2"]
    changes += ["score.examples=1437", "score.batch_norm_examples=1437", "score.batch_norm=reestimate"]
    out = tmp_path / "run"
    with pytest.warns(PathfinderWarning) as said:
        Experiment(load_config(tiny, changes), out).run()
    texts = {str(one.message) for one in said}
    assert any("re-estimated from clean images, but training crops or flips" in text for text in texts)
    minima = read_table(out / "minima.csv").set_index("name")
    paths = read_table(out / "paths.csv").query("path == 'line'").set_index("t")
    recorded = json.loads((out / "run.json").read_text())["checks"]["batch_norm"]
    assert (minima["batch_norm"] == "reestimate").all() and (paths["batch_norm"] == "reestimate").all()
    far = False
    for side, t in (("a", 0), ("b", 1)):
        row = minima.loc[f"convnet-bn-{side}"]
        assert row["test_loss_reestimated"] == pytest.approx(paths.loc[t, "test_loss"], rel=1e-9)
        space = WeightSpace(build_model("convnet-bn", widths=[4, 4], input_shape=(1, 8, 8)))
        kept = load_weights(out / "minima" / f"convnet-bn-{side}.safetensors")
        module = space.module(space.vector(kept), space.statistics(kept))
        x, y = load_data("digits")["test"]
        with torch.no_grad():
            wrong = 100 * float((module.eval()(x).argmax(1) != y).double().mean())
        assert row["test_error"] == pytest.approx(wrong)
        off = abs(row["train_error_reestimated"] - row["train_error"]) > 0.5 or (
            abs(row["train_loss_reestimated"] / row["train_loss"] - 1) > 0.05
        )
        text = f"convnet-bn-{side} with BatchNorm re-estimated from clean inputs has a "
        assert off == any(text in one and "crop 2, flip false" in one for one in texts)
        assert recorded[f"convnet-bn-{side}"]["passed"] == (not off)
        far = far or off
    assert far
    again = [*changes, "score.batch_norm=stored", "planes=false"]
    Experiment(load_config(tiny, again), out, force=True).run()
    found = read_table(out / "paths.csv").query("path == 'line'").set_index("t")["test_error"]
    assert [found[0], found[1]] == pytest.approx(minima["test_error"].tolist())


def test_bfloat16_that_changes_the_scores_stops_the_run(tiny, tmp_path, monkeypatch):
    changes = ["score.precision=bf16", "minimum.epochs=1", "curve.epochs=1", "planes=false", "score.points=3"]
    out, limits = tmp_path / "run", replace(checks.PRECISION, error=0.0, loss=0.0)
    Experiment(load_config(tiny, changes), out).run()
    record = json.loads((out / "run.json").read_text())["checks"]["bf16"]
    assert {"convnet-bn-a", "convnet-bn-b", "convnet-bn-line-a", "convnet-bn-line-b"} < set(record)
    assert any(name.startswith("convnet-bn-bezier at t = ") for name in record)
    assert all(entry["passed"] for entry in record.values())

    monkeypatch.setattr(checks, "PRECISION", limits)
    with pytest.raises(PathfinderError, match=r"convnet-bn-a in bfloat16 has a .* instead of .* score.precision"):
        Experiment(load_config(tiny, changes), tmp_path / "strict").run()
    assert not list((tmp_path / "strict").glob("*.csv"))
    record = json.loads((tmp_path / "strict" / "run.json").read_text())["checks"]["bf16"]
    assert [(name, entry["passed"]) for name, entry in record.items()] == [("convnet-bn-a", False)]
    Experiment(load_config(tiny, [*changes, "precision_check=false"]), tmp_path / "trusting").run()

    compare = work.compare_precisions
    worst_alone = lambda *given: compare(*given) if given[-1] is not None else {}  # noqa: E731
    monkeypatch.setattr(work, "compare_precisions", worst_alone)
    with pytest.raises(PathfinderError, match=r"convnet-bn-\w+ at t = .* in bfloat16"):
        Experiment(load_config(tiny, changes), tmp_path / "inside").run()
    assert (tmp_path / "inside" / "summary.csv").exists()
    record = json.loads((tmp_path / "inside" / "run.json").read_text())["checks"]["bf16"]
    assert not all(entry["passed"] for entry in record.values())


@pytest.mark.figures
def test_single_minima_are_scored_around_without_a_pair(tiny, tmp_path):
    changes = [
        "minima=[{}, {name='other', seed=1, model={name='convnet-bn', widths=[4]}}]",
        "planes=false",
        "curves=[]",
    ]
    changes += ["surfaces=[{points=2, name='s'}, {points=3, axes=1, splits=['train'], batch_norm='training'}]"]
    changes += ["curvature=[{along='s', points=2, examples=50, most=5}]"]
    out = tmp_path / "run"
    assert Experiment(load_config(tiny, changes), out).run() is None
    minima = read_table(out / "minima.csv")
    assert minima["name"].tolist() == ["convnet-bn", "other"] and (minima["batch_norm"] == "stored").all()
    surfaces = read_table(out / "surfaces.csv").groupby("surface")["batch_norm"].unique()
    assert surfaces["s"].tolist() == ["stored"] and surfaces["filter-1d"].tolist() == ["training"]
    assert read_table(out / "curvature.csv")["batch_norm"].tolist() == ["stored"] * 8
    assert not (out / "paths.csv").exists() and (out / "figures" / "contours-s.png").exists()
    for wrong, words in (
        (["minima=[{}, {}]"], "two minima or pairs are called `convnet-bn`"),
        (["minima=[{}]", "surfaces=[]"], "nothing is to be scored around"),
        (["surfaces=[{splits=['test']}]"], "splits must include train"),
    ):
        with pytest.raises(PathfinderError, match=words):
            load_config(tiny, [*changes, *wrong])
    with pytest.raises(PathfinderError, match="names the split `validation`, but there are `train`, `test`"):
        Experiment(load_config(tiny, [*changes, "surfaces=[{splits=['train', 'validation']}]", "curvature=[]"]), out)
