"""Paths that choose how many examples they need, in an experiment and by the command line."""

import re
import shutil
import warnings

import pandas as pd
import pytest
import torch
from helpers import TINY

from pathfinder import summarize
from pathfinder.cli import main
from pathfinder.errors import PathfinderWarning
from pathfinder.experiment.config_file import load_config
from pathfinder.experiment.kept import chosen_examples, kept_file
from pathfinder.experiment.rescoring import rescore
from pathfinder.experiment.run import Experiment
from pathfinder.experiment.workplace import Workplace
from pathfinder.progress import silent
from pathfinder.scoring.sample_size import enough_to_score
from pathfinder.scoring.settings import ALL, Examples
from pathfinder.storage.resume import StageMemory
from pathfinder.tables.csv_files import read_table

pytestmark = pytest.mark.filterwarnings("ignore::pathfinder.errors.PathfinderWarning")  # of so short a training
AUTO = TINY.replace("examples = 200\nbatch_norm_examples = 300", 'examples = "auto"\nbatch_norm_examples = "auto"')
BOTH = ("examples", "batch_norm_examples")
TABLES = ("paths", "summary", "planes", "rescored", "minima")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("auto")
    (folder / "auto.toml").write_text(AUTO)
    experiment = Experiment(load_config(folder / "auto.toml", ["score.examples_tolerance=0.08"]), folder / "run")
    experiment.run()
    return experiment


def test_each_path_is_scored_on_the_examples_that_its_barrier_asks_for(run):
    paths, folder = pd.read_csv(run.folder.path / "paths.csv"), run.folder.path
    for path, rows in paths.groupby("path"):
        target = ("path", "convnet-bn", str(path))
        chosen = chosen_examples(folder, f"convnet-bn-{path}", BOTH)

        def values(count, t, target=target, chosen=chosen):
            return run.place.scored(target, Examples(count, chosen.batch_norm)).values(t)

        assert chosen.scored == enough_to_score(values, {"train": 1437, "test": 360}, 0.08)
        counts = [min(chosen.scored, 1437), min(chosen.scored, 360), chosen.batch_norm]
        assert (rows[["train_examples", "test_examples", "batch_norm_examples"]] == counts).all(axis=None)
        assert chosen.batch_norm >= 1000
    planes = pd.read_csv(folder / "planes.csv")
    chosen = chosen_examples(folder, "convnet-bn-bezier", BOTH)
    assert (planes["train_examples"] == chosen.scored).all()
    assert (planes["batch_norm_examples"] == chosen.batch_norm).all()
    minima = pd.read_csv(folder / "minima.csv")
    assert (minima[["train_examples", "batch_norm_examples"]] == 1437).all(axis=None)


def test_the_worst_points_and_both_ends_are_scored_on_all_examples(run):
    rescored = pd.read_csv(run.folder.path / "rescored.csv")
    assert (rescored[["train_examples", "test_examples"]] == [1437, 360]).all(axis=None)
    assert set(rescored["path"]) == set(run.plan.paths["convnet-bn"])
    for path, rows in rescored.groupby("path"):
        full = run.place.scored(("path", "convnet-bn", path), everything_of(run, path))
        assert (rows["batch_norm_examples"] == full.evaluator.counts()["batch_norm_examples"]).all()
        t = torch.from_numpy(rows["t"].to_numpy(copy=True))
        assert t[0] == 0 and t[-1] == 1 and len(t) > 2
        wanted = full.evaluator.score(full.geometry, t).table["train_loss"]
        assert rows["train_loss"].tolist() == pytest.approx(wanted.tolist(), rel=1e-12)


def everything_of(run, path):
    """All examples, and as many as a path chose to re-estimate BatchNorm."""
    return Examples(batch_norm=chosen_examples(run.folder.path, f"convnet-bn-{path}", BOTH).batch_norm)


def test_a_summary_is_one_of_all_examples_and_paths_of_those_that_were_chosen(run):
    summary, paths, rescored = (
        read_table(run.folder.path / f"{name}.csv") for name in ("summary", "paths", "rescored")
    )
    for _, row in summary.query("metric == 'loss'").iterrows():
        column = f"{row['split']}_loss"
        whole = rescored.query("path == @row.path").set_index("t")[column]
        rise = whole - (1 - whole.index) * whole[0.0] - whole.index * whole[1.0]
        assert row["max"] == whole.max() and row["argmax"] == whole.idxmax() and row["start"] == whole[0.0]
        assert (
            row["barrier"] == pytest.approx(rise.max()) and row["barrier_low"] <= row["barrier"] <= row["barrier_high"]
        )
        assert row["examples_rescored"] == {"train": 1437, "test": 360}[row["split"]] >= row["examples"]
        full = run.place.scored(("path", "convnet-bn", row["path"]), everything_of(run, row["path"]))
        t = torch.from_numpy(paths.query("path == @row.path")["t"].to_numpy(copy=True))
        wanted = summarize({"path": full.evaluator.score(full.geometry, t)}).query("split == @row.split").iloc[0]
        assert row["integral"] == pytest.approx(wanted["integral"], rel=0.02)


def test_points_follow_until_none_is_expected_to_be_larger(run, tmp_path, monkeypatch):
    target, folder = ("path", "convnet-bn", "bezier"), tmp_path / "again"
    shutil.copytree(run.folder.path, folder)
    place = Workplace(run.config, folder)
    monkeypatch.setattr("pathfinder.experiment.rescoring.peaks", lambda table: [0.25])  # not where it is worst
    parts = [name for name in run.plan.pieces if name.startswith("score convnet-bn-bezier")]
    found = rescore(place, StageMemory(), silent, target, parts)
    assert found["t"][:3] == [0, 1, 0.25] and len(found["t"]) > 3
    full = place.scored(target, everything_of(run, "bezier"))
    losses = full.evaluator.score(full.geometry, full.t).table[["train_loss", "test_loss"]].max()
    largest = [max(row[f"{split}_loss"] for row, _ in found["points"]) for split in ("train", "test")]
    assert largest == pytest.approx(losses.tolist(), rel=0.01)


def test_a_given_number_of_examples_is_what_a_summary_is_of(run, tmp_path):
    changes = {"examples": 500, "examples_tolerance": 0.05}
    config = run.config.model_copy(update={"score": run.config.score.model_copy(update=changes)})
    shutil.copytree(run.folder.path, tmp_path / "run")
    Experiment(config, tmp_path / "run", force=True).run()
    summary, paths, rescored = (
        read_table(tmp_path / "run" / f"{name}.csv") for name in ("summary", "paths", "rescored")
    )
    assert "examples_rescored" not in summary and (rescored["train_examples"] == 1437).all()
    found = summary.query("metric == 'loss' and split == 'train'").set_index("path")["max"]
    assert found.equals(paths.groupby("path", sort=False)["train_loss"].max().rename("max"))


def test_a_summary_follows_the_ends_of_its_own_path(tmp_path):
    (tmp_path / "few.toml").write_text(AUTO.replace("[planes]\npoints = 4\n", ""))
    changes = ["curve.fixed_ends=false", "score.points=2", "score.examples_tolerance=0.5"]
    Experiment(load_config(tmp_path / "few.toml", changes), tmp_path / "run").run()
    summary, rescored = (read_table(tmp_path / "run" / f"{name}.csv") for name in ("summary", "rescored"))
    rows = summary.query("split == 'train' and metric == 'loss'").set_index("path")
    for path, points in rescored.groupby("path"):
        assert points["t"].tolist() == [0, 1]
        assert rows.loc[path, ["start", "end"]].tolist() == points["train_loss"].tolist()
    assert abs(rows.loc["line", "start"] / rows.loc["bezier", "start"] - 1) > 0.01
    assert (summary["examples_rescored"] > summary["examples"]).any()


def test_a_repaired_line_may_be_all_that_is_rescored(tmp_path):
    text = TINY.replace("convnet-bn", "mlp").replace("[planes]\npoints = 4\n", "").replace("examples = 200\n", "")
    (tmp_path / "few.toml").write_text(text)
    changes = ["align.method='weights'", "align.repair=true", "score.rescore=true"]
    Experiment(load_config(tmp_path / "few.toml", changes), tmp_path / "run").run()
    assert set(read_table(tmp_path / "run" / "rescored.csv")["path"]) == {"aligned-line-repair"}


def test_examples_whose_losses_are_not_those_of_all_are_said(tmp_path):
    (tmp_path / "few.toml").write_text(TINY.replace("[planes]\npoints = 4\n", ""))
    config = load_config(tmp_path / "few.toml", ["score.examples=6", "score.rescore=true", "curves=[]"])
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", PathfinderWarning)
        Experiment(config, tmp_path / "run").run()
    form = r"path convnet-bn-line: (\w+) loss at t = (\S+) is (\S+) with the examples .*, and (\S+) with all, as"
    (found,) = (match.groups() for one in said if (match := re.match(form, str(one.message))))
    split, at, few, everything = found[0], *map(float, found[1:])
    for name, wanted in (("paths", few), ("rescored", everything)):
        table = pd.read_csv(tmp_path / "run" / f"{name}.csv").query("path == 'line'")
        assert table.loc[(table["t"] - at).abs().idxmin(), f"{split}_loss"] == pytest.approx(wanted, rel=0.01)
    assert abs(few - everything) > 0.05 * everything


def test_a_choice_that_was_lost_is_made_again_with_the_same_bytes(run):
    folder = run.folder.path
    before = {name: (folder / f"{name}.csv").read_bytes() for name in TABLES}
    for name in ("examples convnet-bn-line", "score convnet-bn-line", "plane convnet-bn-bezier"):
        kept_file(folder, name).unlink()
    kept_file(folder, "examples convnet-bn-bezier").write_bytes(b"damaged")
    experiment = Experiment(run.config, folder)
    assert experiment.estimate().seconds["examples convnet-bn-bezier"] > 0
    experiment.run()
    assert {name: (folder / f"{name}.csv").read_bytes() for name in TABLES} == before


def test_an_earlier_choice_is_forgotten_where_all_examples_are_wanted(run, tmp_path):
    path, folder = ("path", "convnet-bn", "line"), run.folder.path
    assert run.place.examples(path).scored == 1000
    for changes, wanted in (({"examples": None}, (None, 1000)), ({"batch_norm_examples": None}, (1000, None))):
        score = run.config.score.model_copy(update=changes)
        place = Workplace(run.config.model_copy(update={"score": score}), folder)
        assert place.examples(path) == Examples(*wanted) and place.given(path) == ALL
    config = run.config.model_copy(update={"score": run.config.score.model_copy(update={"examples": None})})
    shutil.copytree(folder, tmp_path / "again")
    for name in ("again", "fresh"):
        Experiment(config, tmp_path / name, force=True).run()
    fresh, again = (
        {file.name: file.read_bytes() for file in (tmp_path / name).glob("*.csv")} for name in ("fresh", "again")
    )
    assert fresh == again


def test_commands_choose_examples_for_paths_alone(run, tmp_path, monkeypatch, capsys):
    curve, minimum = (run.folder.path / name for name in ("curves/convnet-bn-bezier.safetensors", "minima"))

    def called(*words):
        monkeypatch.setattr("sys.argv", ["pathfinder", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            main()
        return stop.value.code or 0

    options = ["--examples", "auto", "--batch-norm-examples", "auto", "--points", 5]
    for workers in (1, 2):
        out = tmp_path / str(workers)
        assert called("score", "curve", curve, "-o", out, *options, "--workers", workers) == 0
    for name in ("paths", "summary", "rescored"):
        assert (tmp_path / "1" / f"{name}.csv").read_bytes() == (tmp_path / "2" / f"{name}.csv").read_bytes()
    paths, rescored = (pd.read_csv(tmp_path / "1" / f"{name}.csv") for name in ("paths", "rescored"))
    chosen = chosen_examples(tmp_path / "1", "curve", BOTH)
    assert (paths["train_examples"] == chosen.scored).all() and (paths["batch_norm_examples"] == 1437).all() == (
        chosen.batch_norm == 1437
    )
    assert set(rescored["path"]) == {"bezier"}
    capsys.readouterr()
    weights = minimum / "convnet-bn-a.safetensors"
    assert called("score", "surface", weights, "-o", tmp_path / "surface", "--examples", "auto") == 2
    assert "--examples auto has no meaning for a surface" in capsys.readouterr().err
    assert called("score", "curve", curve, "-o", tmp_path / "x", "--examples", "many") == 2
    assert "--examples must be a number or auto, got many" in capsys.readouterr().err
    assert not (tmp_path / "surface").exists() and not (tmp_path / "x").exists()


def test_a_network_without_batch_norm_chooses_no_examples_to_re_estimate_it_from(tmp_path):
    (tmp_path / "auto.toml").write_text(AUTO.replace("convnet-bn", "mlp").replace("[planes]\npoints = 4\n", ""))
    Experiment(load_config(tmp_path / "auto.toml", ["score.examples_tolerance=0.5"]), tmp_path / "run").run()
    paths = pd.read_csv(tmp_path / "run" / "paths.csv")
    assert (paths["batch_norm_examples"] == 0).all() and (paths["train_examples"] == 1000).all()
