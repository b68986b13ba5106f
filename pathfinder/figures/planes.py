"""Figures of planes: filled contours, with the minima and the paths drawn over them."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, withStroke

from pathfinder.figures.contours import POINTS, fill, level_bar, mark_points
from pathfinder.figures.grid import Grid
from pathfinder.figures.levels import levels_above
from pathfinder.figures.style import UNITS, by_name, colours, legend_below, open_marks, set_title
from pathfinder.figures.words import batch_norm_notes, of_pair, path_label
from pathfinder.tables.score_names import parse_score_column, score_columns

_WIDE = 0.5  # planes that are flatter have one panel above the other
_FLATTEST = 0.25  # height over width; y is stretched in planes that are flatter still


def plane_figures(
    planes: pd.DataFrame, markers: pd.DataFrame, paths: pd.DataFrame, points: bool = False
) -> dict[str, Figure]:
    """Train loss and test error over each plane, with the scored points if that is wanted."""
    figures = {}
    for pair, of_one in by_name(planes, "pair"):
        for plane, grid in by_name(of_one, "plane"):
            own = [table[(table["pair"] == pair) & (table["plane"] == plane)] for table in (markers, paths)]
            figure = _plane_figure(grid, *own, points)
            curve = path_label(plane) if path_label(plane) != plane else f"curve {plane}"
            stretched = [f"y stretched {_stretch(grid):.1f} times"] if _stretch(grid) > 1 else []
            notes = [*batch_norm_notes(grid), *stretched]
            set_title(figure, f"Plane of the {curve} between the minima{of_pair(pair)}", notes)
            figures[f"plane-{pair}-{plane}"] = figure
    return figures


def _plane_figure(grid: pd.DataFrame, markers: pd.DataFrame, paths: pd.DataFrame, points: bool) -> Figure:
    columns = [column for column in ("train_loss", "test_error") if column in grid] or score_columns(grid, "loss")[:1]
    ratio = _ratio(grid) * _stretch(grid)
    if ratio < _WIDE:
        figure = Figure(figsize=(8.4, len(columns) * (6.4 * ratio + 1.0) + 1.1))
        axes = figure.subplots(len(columns), 1, squeeze=False)[:, 0]
    else:
        figure = Figure(figsize=(5.9 * len(columns), 1.8 + 4.2 * min(ratio, 1.3)))
        axes = figure.subplots(1, len(columns), squeeze=False)[0]
    for ax, column in zip(axes, columns, strict=True):
        _draw_map(ax, grid, column)
        mark_points(ax, grid, points)
        _draw_paths(ax, markers, paths)
    legend_below(figure, *axes[0].get_legend_handles_labels())
    return figure


def _ratio(table: pd.DataFrame) -> float:
    """The height of a plane over its width."""
    return float(np.ptp(table["y"]) / np.ptp(table["x"]))


def _stretch(table: pd.DataFrame) -> float:
    """How many times longer a unit of y is drawn than one of x, so that a flat plane can be read."""
    return max(1.0, _FLATTEST / max(_ratio(table), 1e-6))


def _draw_map(ax: Axes, table: pd.DataFrame, column: str) -> None:
    """Fill contours at levels above the minimum, x and y to the same scale unless the plane is very flat."""
    score = parse_score_column(column)
    split, metric = ("", column) if score is None else (score.split, score.metric)
    levels = levels_above(table[column], metric)
    grid = Grid.of(table, column, levels).refine(POINTS)
    fill(ax, grid, levels)
    heights = levels.height(levels.edges)
    if np.ptp(grid.heights) > 0:
        ax.contour(grid.x, grid.y, grid.heights, heights, colors="white", linewidths=0.7, alpha=0.8)
    ax.set_aspect(_stretch(table))
    level_bar(ax.figure, levels, f"{split} {UNITS.get(metric, metric)}", cax=ax.inset_axes((1.03, 0, 0.03, 1)))
    ax.grid(False)
    ax.set_xlabel("x (distance in weight space)")
    ax.set_ylabel("y (distance)")
    ax.set_title(f"{split} {metric}", loc="left")


def _draw_paths(ax: Axes, markers: pd.DataFrame, paths: pd.DataFrame) -> None:
    """Draw paths that lie in the plane, projections of the others thin with open circles, then minima and bends."""
    low, high = ax.get_ylim()
    left, right = ax.get_xlim()
    colour = colours(paths["path"].unique())
    for name, path in by_name(paths, "path"):
        inside = path["distance"].max() < 1e-3 * max(np.ptp(path["x"]), np.ptp(path["y"]))
        label = path_label(name) if inside else f"{path_label(name)} (projected)"
        style: dict[str, Any] = {"linewidth": 2.2} if inside else {"linewidth": 1.0, **open_marks("o", len(path))}
        outline = [withStroke(linewidth=4.2 if inside else 2.6, foreground="white"), Normal()]
        ax.plot(path["x"], path["y"], color=colour[name], label=label, path_effects=outline, **style)
    ends = markers["name"].isin(["a", "b"])
    for chosen, marker, label in ((ends, "o", "minima"), (~ends, "s", "bends")):
        style = {"color": "white", "markeredgecolor": "black", "markersize": 8}
        if chosen.any():
            ax.plot(markers["x"][chosen], markers["y"][chosen], marker, linestyle="", label=label, **style)
    for _, point in markers.iterrows():
        before = point["name"] == "a"
        ax.annotate(
            point["name"], (point["x"], point["y"]), xytext=(-9 if before else 9, 0), textcoords="offset points",
            ha="right" if before else "left", va="center", fontsize=10,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
        )  # fmt: skip
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)
