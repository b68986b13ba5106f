"""Figures of planes: filled contours, with the minima and the paths drawn over them."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathfinder.figures.contours import COLOURS, Scale, gridded, level_bar
from pathfinder.figures.style import UNITS, colours, legend_below


def plane_figures(planes: pd.DataFrame, markers: pd.DataFrame, paths: pd.DataFrame) -> dict[str, Figure]:
    """The planes, each with train loss and test error side by side."""
    figures = {}
    for (pair, plane), grid in planes.groupby(["pair", "plane"], sort=False):
        own = [table[(table["pair"] == pair) & (table["plane"] == plane)] for table in (markers, paths)]
        figures[f"plane-{pair}-{plane}"] = _plane_figure(
            grid, *own, title=f"{pair}: plane of the {plane}", own_path=plane
        )
    return figures


def _plane_figure(grid: pd.DataFrame, markers: pd.DataFrame, paths: pd.DataFrame, title: str, own_path: str) -> Figure:
    columns = [column for column in ("train_loss", "test_error") if column in grid] or [
        next(column for column in grid if column.endswith("_loss"))
    ]
    ratio = np.ptp(grid["y"]) / np.ptp(grid["x"])
    if ratio < 0.5:  # a wide plane: one panel above the other
        figure = Figure(figsize=(8.4, len(columns) * (6.4 * ratio + 0.85) + 0.9))
        axes = figure.subplots(len(columns), 1, squeeze=False)[:, 0]
    else:
        figure = Figure(figsize=(5.6 * len(columns), 1.2 + 4.2 * min(ratio, 1.3)))
        axes = figure.subplots(1, len(columns), squeeze=False)[0]
    for ax, column in zip(axes, columns, strict=True):
        _contours(figure, ax, grid, column)
        _overlay(ax, markers, paths, own_path)
    handles, labels = axes[0].get_legend_handles_labels()
    legend_below(figure, handles, labels)
    figure.suptitle(title, fontsize=11)
    return figure


def _contours(figure: Figure, ax: Axes, grid: pd.DataFrame, column: str) -> None:
    """Filled contours at logarithmic levels, axes equal in weight-space distance."""
    scale = Scale()
    levels = scale.levels(grid[column])
    x, y, values = gridded(grid, column, levels)
    drawn = ax.contourf(x, y, values, levels, norm=scale.norm(levels), cmap=COLOURS)
    ax.contour(drawn, levels=levels[1:-1:2], colors="white", linewidths=0.4, alpha=0.6)
    split, metric = column.split("_", 1)
    level_bar(figure, drawn, ax, f"{split} {UNITS.get(metric, metric)}", scale, aspect=15)
    ax.set_aspect("equal")
    ax.grid(False)
    ax.set_xlabel("x (distance in weight space)")
    ax.set_ylabel("y (distance)")
    ax.set_title(f"{split} {metric}", loc="left")


def _overlay(ax: Axes, markers: pd.DataFrame, paths: pd.DataFrame, own_path: str) -> None:
    """The curve that lies in the plane solid, projections of the others dashed, and the three points."""
    low, high = ax.get_ylim()
    left, right = ax.get_xlim()
    colour = colours(paths["path"].unique())
    for name, path in paths.groupby("path", sort=False):
        inside = path["distance"].max() < 1e-3 * max(np.ptp(path["x"]), np.ptp(path["y"]))
        label = name if inside else f"{name} (projected)"
        style = "-" if inside else (0, (3, 2))
        ax.plot(path["x"], path["y"], color="white", linewidth=3.4, linestyle="-" if inside else style, alpha=0.8)
        ax.plot(path["x"], path["y"], color=colour[name], linewidth=2.0, linestyle=style, label=label)
    ends = markers["name"].isin(["a", "b"])
    for chosen, marker, label in ((ends, "o", "minima"), (~ends, "s", "bends")):
        ax.plot(
            markers["x"][chosen],
            markers["y"][chosen],
            marker,
            color="white",
            markeredgecolor="black",
            markersize=7,
            label=label,
        )
    for _, point in markers.iterrows():
        before = point["name"] == "a"
        ax.annotate(
            point["name"], (point["x"], point["y"]), xytext=(-8 if before else 8, 0), textcoords="offset points",
            ha="right" if before else "left", va="center", fontsize=10,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": "white", "alpha": 0.75, "linewidth": 0},
        )  # fmt: skip
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)
