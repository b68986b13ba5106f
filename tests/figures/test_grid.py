"""Smooth maps: the values at the nodes, and no hill or valley that was not measured."""

import numpy as np
import pandas as pd

from pathfinder.figures.grid import Grid
from pathfinder.figures.levels import Scale, levels_above, number_words


def table(values):
    y, x = np.meshgrid(np.arange(values.shape[0]), np.arange(values.shape[1]), indexing="ij")
    return pd.DataFrame({"x": x.ravel(), "y": y.ravel(), "train_loss": values.ravel()})


def test_a_refined_grid_keeps_the_nodes_and_stays_within_each_cell():
    values = np.exp(np.random.default_rng(0).normal(size=(9, 7)) * 2)
    values[4, 3] = 300.0
    frame = table(values)
    levels = Scale(10.0).levels(frame["train_loss"])
    coarse = Grid.of(frame, "train_loss", levels)
    fine = coarse.refine(41)
    steps = [(len(f) - 1) // (len(c) - 1) for f, c in ((fine.y, coarse.y), (fine.x, coarse.x))]
    assert np.allclose(fine.heights[:: steps[0], :: steps[1]], np.log10(np.clip(values, levels.low, 10.0)), atol=1e-9)
    for i in range(8):
        for j in range(6):
            corners = coarse.heights[i : i + 2, j : j + 2]
            cell = fine.heights[i * steps[0] : (i + 1) * steps[0] + 1, j * steps[1] : (j + 1) * steps[1] + 1]
            assert corners.min() - 1e-9 <= cell.min() and cell.max() <= corners.max() + 1e-9


def test_cells_around_what_is_not_a_number_are_hidden_and_infinite_losses_are_clipped():
    values = np.ones((5, 5)) + np.arange(5)
    values[0, 0], values[4, 4] = np.nan, np.inf
    frame = table(values)
    levels = Scale(4.0).levels(frame["train_loss"])
    fine = Grid.of(frame, "train_loss", levels).refine(9)
    assert levels.clipped and np.isclose(fine.heights[-1, -1], np.log10(4.0))
    assert np.ma.getmaskarray(fine.heights)[:2, :2].all() and not np.ma.getmaskarray(fine.heights)[3:, 3:].any()


def test_levels_above_the_minimum_are_those_of_garipov():
    values = pd.Series([0.3, 1.0, 2.8])
    step = (np.log(2.5) + 5) / 7
    assert np.allclose(levels_above(values, "loss").edges, 0.3 + np.exp(-5 + step * np.arange(1, 7)))
    assert levels_above(pd.Series([0.1, 9.0]), "loss").high == 5.0


def test_a_deep_valley_is_not_all_of_one_colour():
    values = pd.Series(np.geomspace(1e-4, 2.0, 100))
    heights = levels_above(values, "loss").height(values)
    lowest = heights == heights.min()
    assert 0.02 < lowest.mean() < 0.15
    errors = levels_above(pd.Series(np.geomspace(1e-4, 30.0, 100)), "error")
    assert np.isclose(errors.floor, np.exp(-1))  # noise of errors below a third of a percent stays hidden


def test_contour_lines_are_at_the_levels_of_li():
    levels = Scale(10.0).line_levels(pd.Series([0.01, 300.0]))
    assert np.allclose(levels.edges, np.arange(0.1, 10, 0.5))
    assert not np.allclose(Scale(10.0, lines="log").line_levels(pd.Series([0.01, 300.0])).edges[:3], levels.edges[:3])


def test_labels_tell_levels_apart():
    assert number_words([0.2901, 0.3062, 0.34]) == ["0.29", "0.306", "0.34"]
