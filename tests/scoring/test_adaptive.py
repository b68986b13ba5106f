"""Paths scored where it matters: the same maxima and integrals as many equal points give, from few."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.interpolate import PchipInterpolator

from pathfinder import Bezier, Evaluator, Line, PathfinderError, WeightSpace, build_model, summarize
from pathfinder.scoring.adaptive import FIRST, explore, integral_of
from pathfinder.storage import StageFile
from pathfinder.tables.csv_files import read_table

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
FINE = np.linspace(0, 1, 10_001)


def explored(*functions, **how):
    """The result of `explore` for the losses of some splits as functions of t, and how many points it asked for."""
    names = [f"split{i}" for i in range(len(functions))]
    kept = {("loss", name): torch.zeros(1) for name in names}

    def score(t):
        losses = [function(t.numpy()) for function in functions]
        return [
            ({f"{n}_loss": float(loss[i]) for n, loss in zip(names, losses, strict=True)}, kept) for i in range(len(t))
        ]

    t, points, closeness = explore(score, **how)
    return t.numpy(), np.array([[row[f"{name}_loss"] for row, _ in points] for name in names]), closeness


def committed():
    """Every path of 61 points in committed runs: its run and name, its points and losses."""
    for file in sorted(REFERENCE.glob("*/paths.csv")):
        for name, path in read_table(file).query("0 <= t <= 1").groupby(["pair", "path"], sort=False):
            if len(path) == 61:
                yield (file.parent.name, *name), path["t"].to_numpy(), path[["train_loss", "test_loss"]].to_numpy().T


def test_committed_paths_have_the_same_maxima_and_integrals_from_few_points():
    counts, off = [], []
    for name, t, losses in committed():
        through = [PchipInterpolator(t, np.log(values + 1e-4)) for values in losses]
        at, found, closeness = explored(*[lambda x, f=f: np.exp(f(x)) - 1e-4 for f in through])
        assert closeness.reached, name
        assert (found.max(1) > 0.99 * losses.max(1)).all(), name
        counts.append(len(at))
        off += [
            abs(integral_of(at, mine) / np.trapezoid(theirs, t) - 1) for mine, theirs in zip(found, losses, strict=True)
        ]
    assert len(counts) > 150 and np.median(counts) <= 15 and max(counts) <= 30
    assert np.quantile(off, 0.95) < 0.01


@pytest.mark.parametrize("centre", [0.02, 0.13, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("width", [0.06, 0.2, 0.5])
def test_a_peak_is_found_wherever_it_lies(centre, width):
    def loss(t):
        return 0.1 + 2 * np.exp(-(((t - centre) / width) ** 2))

    t, (found,), closeness = explored(loss)
    assert closeness.reached and found.max() > 0.99 * loss(FINE).max()
    assert integral_of(t, found) == pytest.approx(np.trapezoid(loss(FINE), FINE), rel=0.02)
    rise = found - (1 - t) * found[0] - t * found[-1]
    fine = loss(FINE) - (1 - FINE) * loss(0) - FINE * loss(1)
    assert rise.max() > fine.max() - 0.01 * loss(FINE).max()


@pytest.mark.parametrize(
    "loss",
    [
        lambda t: 0.05 + np.exp(-(((t - 0.503) / 0.003) ** 2)),
        lambda t: np.where(t > 0.303, 2.0, 0.02),
        lambda t: np.where(abs(t - 0.5) < 0.1, np.inf, t),
    ],
    ids=["needle", "step", "infinite"],
)
def test_what_is_too_sharp_to_resolve_does_not_count_as_known(loss):
    t, _, closeness = explored(loss)
    assert not closeness.reached and len(t) < 61 and np.diff(t).min() < 1 / 128


def test_every_split_is_looked_at():
    def left(t):
        return np.exp(-(((t - 0.25) / 0.1) ** 2))

    def right(t):
        return np.exp(-(((t - 0.7) / 0.1) ** 2))

    t, found, _ = explored(left, right)
    assert (found.max(1) > 0.99).all()
    assert len(t) > len(explored(left)[0])


def test_a_flat_path_needs_the_first_points_alone_and_a_smaller_tolerance_more():
    t, _, closeness = explored(lambda t: 0.3 + 0.001 * np.sin(9 * t))
    assert len(t) == FIRST and closeness.reached and np.isnan(closeness.error)

    def loss(t):
        return np.exp(-20 * (t - 0.4) ** 2)

    counts = [len(explored(loss, tolerance=tolerance)[0]) for tolerance in (0.1, 0.01, 0.001)]
    assert counts == sorted(set(counts))


def test_what_is_not_known_at_the_end_is_said():
    t, _, closeness = explored(lambda t: 1 + np.sin(5000 * t**2) ** 2, most=20)
    assert len(t) == 20 and not closeness.reached and closeness.error > 0.1


def test_losses_that_are_not_finite_are_looked_at_and_end():
    t, found, _ = explored(lambda t: np.where(abs(t - 0.5) < 0.1, np.inf, t))
    assert np.isinf(found).any() and len(t) <= 61
    explored(lambda t: np.full(len(t), np.nan))


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -0.1, float("nan")])
def test_a_wrong_tolerance_is_refused(tolerance):
    with pytest.raises(PathfinderError, match="tolerance must be"):
        explored(lambda t: t, tolerance=tolerance)


@pytest.fixture(scope="module")
def scored():
    """An evaluator, and a curve with a barrier."""
    modules = [build_model("mlp", input_shape=(1, 8, 8), seed=seed) for seed in (0, 1)]
    space = WeightSpace(modules[0])
    a, b = (5 * space.vector(module) for module in modules)
    generator = torch.Generator().manual_seed(0)
    data = {"train": (torch.randn(60, 1, 8, 8, generator=generator), torch.arange(60) % 10)}
    return Evaluator(space, data), Bezier(a, b)


def test_points_are_scored_once_and_as_at_given_coordinates(scored, monkeypatch):
    evaluator, curve = scored
    seen = []
    values = Evaluator._values
    monkeypatch.setattr(Evaluator, "_values", lambda self, g, t, r: seen.extend(t.tolist()) or values(self, g, t, r))
    found = evaluator.score(curve, "auto")
    assert len(seen) == len(set(seen)) == len(found.table) and found.closeness.reached
    assert sorted(seen) == found.table["t"].tolist()
    given = evaluator.score(curve, found.table["t"].to_numpy())
    assert found.table.equals(given.table) and given.closeness is None
    assert found.losses["train"].tobytes() == given.losses["train"].tobytes()


def test_an_interrupted_path_goes_on_with_the_same_points(scored, tmp_path):
    evaluator, curve = scored
    whole = evaluator.score(curve, "auto", stage=StageFile(tmp_path / "whole.pt", "key"))
    stage, seen = StageFile(tmp_path / "killed.pt", "key", every=0.0), []

    def stop(done, total):
        seen.append(done)
        if done == FIRST + 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluator.score(curve, "auto", stage=stage, progress=stop)
    again = evaluator.score(curve, "auto", stage=stage, progress=lambda done, total: seen.append(-done))
    assert again.table.equals(whole.table) and again.closeness == whole.closeness
    assert -FIRST in seen  # what was scored before is not scored again


def test_the_summary_does_not_weigh_the_crowded_points_more(scored):
    evaluator, _ = scored
    line = Line(torch.zeros(evaluator.space.size), scored[1].end)
    few = summarize({"line": evaluator.score(line, "auto")}).iloc[0]
    many = summarize({"line": evaluator.score(line, 401)}).iloc[0]
    for quantity in ("mean", "integral", "max", "barrier"):
        assert few[quantity] == pytest.approx(many[quantity], rel=0.01), quantity


def test_the_integral_of_losses_that_are_not_finite_is_unknown():
    assert np.isnan(integral_of(np.linspace(0, 1, 5), np.array([1, 2, np.inf, 2, 1])))
