"""The plan of an experiment: which pieces it has, what they need, and what their keys depend on."""

import ast
import tomllib
from pathlib import Path

import pytest
from helpers import TINY

from pathfinder.experiment import plan as plan_module
from pathfinder.experiment.config import Config
from pathfinder.experiment.facts import Facts, NetworkFacts
from pathfinder.experiment.pieces import scores_of, split_points
from pathfinder.experiment.plan import Plan

EVERYTHING = """
[align]
every_pair = true
repair = true
[[surfaces]]
name = "around"
points = [3, 2]
[[curvature]]
along = "around"
points = 2
[[curvature]]
along = "line"
points = 3
"""


def plan_of(text=TINY, statistics=True, **changes):
    """A plan whose networks all have 1,000 weights."""
    config = Config.parse({**tomllib.loads(text), **changes})
    fact = NetworkFacts({"name": "net"}, None, 1000, statistics)
    names = [one.title for one in config.singles()] + [name for pair in config.all_pairs() for name in pair.ends]
    return Plan(config, Facts({"train": "abc"}, (0, False), {"train": 1437, "test": 360}, dict.fromkeys(names, fact)))


@pytest.mark.parametrize("statistics", [True, False])
def test_each_piece_comes_after_those_it_needs_under_a_key_of_its_own(statistics):
    pieces = list(plan_of(TINY + EVERYTHING, statistics).pieces.values())
    seen = set()
    for piece in pieces:
        assert seen.issuperset(piece.needs), piece
        seen.add(piece.name)
    assert len({piece.key for piece in pieces}) == len(pieces) == len(seen)
    works = {piece.work for piece in pieces}
    assert {"train_minimum", "score_minimum", "train_curve", "score_points", "align_minima", "measure_points"} < works
    assert ("score convnet-bn-aligned-line-repair" in seen) == (not statistics)


def test_points_are_divided_by_their_load_and_each_is_done_once():
    for points, load, most in ((441, 1.0, 64), (441, 1e9, 1), (61, 3e8, 5), (3, 1e3, 3)):
        pieces = split_points("plane p", "score_points", ("plane", "p"), points, load, "key")
        ranges = [range(*piece.arguments[1:]) for piece in pieces]
        assert [i for one in ranges for i in one] == list(range(points))
        assert max(map(len, ranges)) == most and sum(piece.points for piece in pieces) == points
        assert {piece.title for piece in pieces} == {"plane p"}
        assert (pieces[0].name == "plane p") == (len(pieces) == 1)


@pytest.mark.parametrize(
    ("change", "redone"),
    [
        ({"curve": {"epochs": 3}}, {"curve", "score bezier", "plane"}),
        ({"planes": {"points": 5}}, {"plane"}),
        ({"score": {"points": 4}}, {"score line", "score bezier"}),
        ({"seed": 1}, {"minimum", "minimum scores", "curve", "score line", "score bezier", "plane"}),
        ({"device": "cuda"}, {"minimum", "minimum scores", "curve", "score line", "score bezier", "plane"}),
    ],
)
def test_a_key_depends_on_what_the_result_does(change, redone):
    raw = tomllib.loads(TINY)
    for table, values in change.items():
        raw[table] = {**raw.get(table, {}), **values} if isinstance(values, dict) else values
    before, after = plan_of().pieces, plan_of("", **raw).pieces
    names = {name for name in after if name not in before or before[name].key != after[name].key}
    kinds = {name.replace("convnet-bn-", "") if name.startswith("score") else name.rpartition(" ")[0] for name in names}
    assert kinds == redone


def test_a_minimum_of_two_pairs_is_trained_once():
    text = TINY.replace("[planes]\npoints = 4\n", "") + "[[pairs]]\nname = 'p'\n[[pairs]]\nname = 'q'\n"
    plan = plan_of(text)
    assert plan.training == {"p-a": "minimum p-a", "p-b": "minimum p-b", "q-a": "minimum p-a", "q-b": "minimum p-b"}
    assert "minimum q-a" not in plan.pieces and plan.pieces["copy q-a"].needs == ("minimum p-a",)
    assert plan.pieces[scores_of("q-a")].arguments[2] == "p-a" and plan.pieces[scores_of("p-a")].arguments[2] is None


def test_the_plan_does_not_compute():
    tree = ast.parse(Path(plan_module.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [name for name in imported if name.startswith(("torch", "numpy", "pandas"))]
