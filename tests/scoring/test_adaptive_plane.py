"""Planes and surfaces that choose their points, against whole grids."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import data, network
from scipy.interpolate import RectBivariateSpline

from pathfinder import Evaluator, Line, PathfinderError, Plane, Ray, WeightSpace
from pathfinder.scoring.adaptive_plane import (
    CLIP,
    MOST,
    ROUND,
    _explorer,
    ask,
    explore_plane,
    heights_of,
    interpolate,
    judge,
)
from pathfinder.tables.scattered import on_grid

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
SQUARE = ((-1.0, 1.0), (-1.0, 1.0))


def bowl(t):
    x, y = t[:, 0].numpy(), t[:, 1].numpy()
    return np.exp(-1 + 2 * x**2 + y**2 + np.sin(3 * x * y))


def scored(losses):
    return lambda t: [({"test_loss": 0.0, "train_loss": float(loss)}, {}) for loss in losses(t)]


def committed(name):
    """A committed surface of 51 x 51 points: its axes, its losses, and a function between them."""
    table = pd.read_csv(REFERENCE / "li2018-figure1" / "surfaces.csv")
    grid = table[table["name"] == name].pivot(index="x", columns="y", values="train_loss")
    x, y, losses = grid.index.to_numpy(), grid.columns.to_numpy(), grid.to_numpy()
    return x, y, losses, RectBivariateSpline(x, y, np.log(losses + 0.01), s=0)


def off(t, losses, x, y, wanted):
    """The error of the log losses that 95 % of a grid do not exceed."""
    at = np.stack(np.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    return error_of(interpolate(t.numpy(), heights_of(losses), at), wanted)


def error_of(heights, wanted):
    """The error of the log losses, of at most 10 nats, that 95 % of the points do not exceed."""
    highest = np.log(CLIP + 0.01)
    return np.percentile(np.abs(heights.clip(max=highest) - heights_of(wanted.reshape(-1)).clip(max=highest)), 95)


def test_a_smooth_plane_is_known_to_the_tolerance_from_few_points():
    t, points, known = explore_plane(scored(bowl), SQUARE, 0.03)
    losses = np.array([row["train_loss"] for row, _ in points])
    assert known.reached and known.error <= 0.03 and len(t) <= 250
    axis = np.linspace(-1, 1, 51)
    everywhere = torch.tensor(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2))
    assert off(t, losses, axis, axis, bowl(everywhere)) < 0.03


@pytest.mark.parametrize(("name", "most"), [("resnet56", 0.02), ("resnet56-noshort", 0.16)])
def test_committed_surfaces_are_met_better_than_by_a_grid_of_as_many_points(name, most):
    x, y, wanted, between = committed(name)
    t, points, known = explore_plane(scored(lambda t: np.exp(between(*t.numpy().T, grid=False)) - 0.01), SQUARE)
    error = off(t, np.array([row["train_loss"] for row, _ in points]), x, y, wanted)
    axis = np.linspace(-1, 1, int(len(t) ** 0.5))
    equal_error = error_of(RectBivariateSpline(axis, axis, between(axis, axis))(x, y).ravel(), wanted)
    assert error < most and error < 0.75 * equal_error
    assert len(t) == MOST and not known.reached and known.error > error


def test_points_follow_from_rounded_losses_in_the_order_of_asking():
    t, points, _ = explore_plane(scored(bowl), SQUARE, 1e-9)
    losses = np.array([row["train_loss"] for row, _ in points])
    assert len(t) == MOST == len(t.unique(dim=0)) and t.abs().max() <= 1
    for told in (0, ROUND, 4 * ROUND):
        assert torch.equal(ask(SQUARE, losses[:told]), t[: told + ROUND])
    _explorer.cache_clear()
    again = ask(SQUARE, losses[: 8 * ROUND] * (1 + 1e-10))
    assert torch.equal(again, t[: 9 * ROUND])


def test_losses_that_are_not_finite_count_as_the_highest():
    losses = np.array([np.nan, np.inf, 1e9, 100.0, 0.0])
    assert heights_of(losses).tolist() == [*[round(np.log(100.01), 6)] * 4, round(np.log(0.01), 6)]
    assert not judge(torch.zeros(ROUND, 2), np.zeros(ROUND), 1.0).reached


def test_an_evaluator_scores_a_plane_at_its_own_points():
    space = WeightSpace(network("mlp"))
    a, b, c = (space.vector(network("mlp", seed)) for seed in range(3))
    evaluator, plane = Evaluator(space, {"train": data(50)}), Plane.through(a, b, c)
    scores = evaluator.score(plane, "auto", tolerance=0.2)
    table = scores.table
    assert scores.closeness.reached and table["converged"].all() and len(table) % ROUND == 0
    again = evaluator.score(plane, torch.tensor(table[["x", "y"]].to_numpy()))
    assert np.array_equal(again.table["train_loss"], table["train_loss"])
    corners = plane.grid(2)
    assert np.allclose(table[["x", "y"]].min(), corners.amin(0)) and np.allclose(
        table[["x", "y"]].max(), corners.amax(0)
    )
    grid = on_grid(table, "train_loss").iloc[::5, ::5]
    unknown = table.assign(ratio=np.where(table.index == 7, np.nan, table["train_loss"]))
    hole = on_grid(unknown, "ratio").isna()
    assert 0 < hole.to_numpy().sum() < 0.1 * hole.size
    assert hole.to_numpy()[np.abs(hole.index - table["y"][7]).argmin(), np.abs(hole.columns - table["x"][7]).argmin()]
    few = on_grid(table.assign(ratio=np.where(table.index < 2, 1.0, np.nan)), "ratio")
    assert set(few.to_numpy()[few.notna()]) == {1.0} and few.isna().to_numpy().any()
    full = evaluator.score(plane, 11).table.pivot(index="y", columns="x", values="train_loss")
    assert np.percentile(np.abs(np.log(grid.to_numpy() + 0.01) - np.log(full.to_numpy() + 0.01)), 95) < 0.2
    with pytest.raises(PathfinderError, match="tolerance must be above 0"):
        evaluator.score(plane, "auto", tolerance=0.0)
    with pytest.raises(PathfinderError, match="give points for anything but a path or a plane"):
        evaluator.score(Ray(a, b - a), "auto")
    assert isinstance(evaluator.score(Line(a, b), "auto").closeness.reached, bool)
