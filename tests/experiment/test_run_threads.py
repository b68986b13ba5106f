"""How many threads compute in an experiment, and what its record and its tables say of them."""

import json

import pytest
import torch
from torch import nn

from pathfinder import PathfinderError
from pathfinder.errors import PathfinderWarning
from pathfinder.experiment.config import Config
from pathfinder.experiment.run import Experiment

MACHINE = 2
SMALL = {"name": "small", "minimum": {"model": {"name": "mlp", "widths": [6, 4]}}}
LARGE = {"name": "large", "minimum": {"model": {"name": "mlp", "widths": [700, 100]}}}
BASE = {
    "name": "tiny",
    "data": {"name": "digits", "examples": 100},
    "minimum": {"epochs": 1},
    "curves": [{"kind": "bezier", "epochs": 1}],
    "score": {"points": 3, "examples": 50},
    "align": {"every_pair": True, "orders": 1},
    "surfaces": [{"points": 2, "span": 0.1}],
    "curvature": [{"along": "line", "points": 2, "examples": 50, "samples": 0, "most": 5}],
}
FEW = {"align": False, "surfaces": [], "curvature": []}  # threads wait for each other long where cores are busy


@pytest.fixture(autouse=True)
def set_up(monkeypatch):
    """A machine on which torch finds two threads; no figures, which take longer than all else here."""
    monkeypatch.setattr(Experiment, "draw", lambda self, engine: None)
    before = torch.get_num_threads()
    torch.set_num_threads(MACHINE)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def seen(monkeypatch):
    """The numbers of threads while a layer computes, by the inputs of the network's last layer."""
    found, forward = {}, nn.Linear.forward

    def look(layer, x):
        if layer.out_features == 10:
            found.setdefault(layer.in_features, set()).add(torch.get_num_threads())
        return forward(layer, x)

    monkeypatch.setattr(nn.Linear, "forward", look)
    return found


def run(folder, **changes):
    Experiment(Config.parse({**BASE, **changes}), folder).run()
    return json.loads((folder / "run.json").read_text())


def tables(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def makers(record):
    return {stage: one["threads"] for one in record["made_by"] for stage in one["stages"]}


def test_each_network_takes_the_number_of_its_size(seen, tmp_path):
    record = run(tmp_path / "run", pairs=[SMALL, LARGE], **FEW)
    assert seen == {4: {1}, 100: {MACHINE}} and torch.get_num_threads() == MACHINE
    assert record["threads"] == [1, MACHINE]
    for stage, number in makers(record).items():
        assert number == (1 if "small" in stage else MACHINE), stage


def test_the_config_s_number_is_that_of_all_networks(seen, tmp_path):
    record = run(tmp_path / "run", pairs=[SMALL, LARGE], threads=1)
    assert seen == {4: {1}, 100: {1}} and torch.get_num_threads() == MACHINE
    assert record["threads"] == record["config"]["threads"] == 1 and set(makers(record).values()) == {1}


def test_bytes_of_a_small_network_do_not_depend_on_the_machine(seen, tmp_path):
    record = run(tmp_path / "two", pairs=[SMALL])
    assert seen == {4: {1}}
    torch.set_num_threads(1)
    run(tmp_path / "one", pairs=[SMALL])
    assert record["threads"] == 1 and tables(tmp_path / "two") == tables(tmp_path / "one")


def test_kept_scores_are_made_again_with_another_number_and_minima_are_not(tmp_path):
    run(tmp_path / "run", pairs=[SMALL], **FEW)
    kept = (tmp_path / "run" / ".work" / "score-small-line.pt").stat().st_mtime_ns
    with (
        pytest.warns(PathfinderWarning, match="`minimum small-a`.*another number of threads"),
        pytest.warns(PathfinderWarning, match="run holds 2 scored paths made by .* threads: they are redone"),
    ):
        record = run(tmp_path / "run", pairs=[SMALL], **FEW, threads=2)
    assert record["threads"] == 2
    found = makers(record)
    assert {found["minimum small-a"], found["minimum small-b"], found["curve small-bezier"]} == {1}
    assert {found["score small-line"], found["score small-bezier"]} == {2}
    assert (tmp_path / "run" / ".work" / "score-small-line.pt").stat().st_mtime_ns > kept


def test_a_single_minimum_takes_the_number_of_its_size(seen, tmp_path):
    minimum = {"name": "one", "model": {"name": "mlp", "widths": [6, 5]}}
    changes = {"minima": [minimum], "align": False, "curvature": [], "curves": []}
    record = run(tmp_path / "run", **changes)
    assert seen == {5: {1}} and record["threads"] == 1 and set(makers(record).values()) == {1}


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "two", 1025])
def test_a_number_that_cannot_be_is_refused(wrong):
    with pytest.raises(PathfinderError, match="^`threads` should be"):
        Config.parse({**BASE, "threads": wrong})
