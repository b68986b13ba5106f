"""Figures of landscapes: profiles and surfaces around minima, side by side on one scale."""

from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from mpl_toolkits.mplot3d.axes3d import Axes3D

from pathfinder.figures.contours import COLOURS, Grid, Scale, level_bar
from pathfinder.figures.panels import loss_and_error, loss_limits, panels
from pathfinder.figures.style import by_name, legend_below, set_title, surroundings

_TRAINING: dict[str, Any] = {"color": "#D55E00", "linewidth": 1.2, "markersize": 4}
_MINIMUM: dict[str, Any] = {"color": "white", "markeredgecolor": "black", "markersize": 6}


def surface_figures(surfaces: pd.DataFrame, trajectory: pd.DataFrame, scale: Scale) -> dict[str, Figure]:
    """Profiles with loss and error; surfaces as contour lines, filled contours and in three dimensions."""
    figures = {}
    for name, rows in by_name(surfaces, "surface"):
        minima = list(rows["name"].unique())
        if rows["y"].isna().all():
            figures[f"profile-{name}"] = figure = _profiles(rows, scale)
            set_title(figure, f"Loss and error {surroundings(minima, name)}")
            continue
        checkpoints = trajectory[trajectory["surface"] == name]
        drawn = {
            f"contours-{name}": _contours(rows, checkpoints, scale),
            f"filled-{name}": _contours(rows, checkpoints, scale, filled=True),
            f"relief-{name}": _reliefs(rows, scale),
        }
        clipped = f", clipped at {scale.clip:g}" if rows["train_loss"].max() > scale.clip else ""
        for figure in drawn.values():
            set_title(figure, f"Train loss (nats{clipped}) {surroundings(minima, name)}")
        figures |= drawn
    return figures


def _profiles(rows: pd.DataFrame, scale: Scale) -> Figure:
    figure, places = panels(rows, sharex=True, sharey=True)
    limits = loss_limits(rows, scale.clip)
    lines = [line for ax, _, own in places for line in loss_and_error(ax, own, "x", limits)]
    legend_below(figure, lines, [str(line.get_label()) for line in lines])
    return figure


def _contours(rows: pd.DataFrame, trajectory: pd.DataFrame, scale: Scale, filled: bool = False) -> Figure:
    figure, places = panels(rows)
    levels = scale.levels(rows["train_loss"])
    areas = None
    for ax, name, own in places:
        grid = Grid.of(own, "train_loss", levels)
        if filled:
            areas = grid.fill(ax, scale)
            grid.draw_lines(ax, colors="white", linewidths=0.5)
        else:
            grid.draw_lines(ax, norm=scale.norm(levels), cmap=COLOURS, linewidths=1)
        checkpoints = trajectory[trajectory["name"] == name]
        if len(checkpoints):
            ax.plot(checkpoints["x"], checkpoints["y"], ".-", label="checkpoints of its training", **_TRAINING)
        ax.plot(0, 0, "o", label="minimum", **_MINIMUM)
        ax.grid(False)
        ax.locator_params(axis="x", nbins=5)
        ax.set(xlabel=_axis_label("x", checkpoints), ylabel=_axis_label("y", checkpoints))
        ax.set(xlim=(grid.x[0], grid.x[-1]), ylim=(grid.y[0], grid.y[-1]))
    if len(trajectory):
        lines = [line for ax in figure.axes for line in ax.get_lines()]
        legend_below(figure, lines, [str(line.get_label()) for line in lines])
    if areas is not None:
        level_bar(figure, areas, "train loss (nats)", scale, ax=figure.axes, aspect=30)
    return figure


def _axis_label(axis: str, checkpoints: pd.DataFrame) -> str:
    """The axis, and how much of the checkpoints' variance lies along it."""
    shares = checkpoints[f"explained_{axis}"].dropna() if f"explained_{axis}" in checkpoints else ()
    return f"{axis} ({100 * shares.iloc[0]:.1f} % of the variance)" if len(shares) else axis


def _reliefs(rows: pd.DataFrame, scale: Scale) -> Figure:
    figure, places = panels(rows, subplot_kw={"projection": "3d"})
    levels = scale.levels(rows["train_loss"])
    low, high = scale.height(levels[0]), scale.height(levels[-1])
    for flat, _, own in places:
        ax = cast("Axes3D", flat)
        grid = Grid.of(own, "train_loss", levels)
        mesh, steps = np.meshgrid(grid.x, grid.y), {"rcount": len(grid.y), "ccount": len(grid.x)}
        heights = scale.height(grid.values)
        ax.plot_surface(*mesh, heights, cmap=COLOURS, vmin=low, vmax=high, linewidth=0, **steps)
        ax.set(xlabel="x", ylabel="y", zlim=(low, high))
        ax.set_box_aspect(None, zoom=1.1)
        if scale.log:
            ax.zaxis.set_major_locator(MultipleLocator(1.0 if high - low > 1.5 else 0.25))
            ax.zaxis.set_major_formatter(lambda exponent, _: f"{10**exponent:.2g}")
        ax.tick_params(labelsize=8, pad=0)
        ax.locator_params(axis="x", nbins=4)
        ax.locator_params(axis="y", nbins=4)
    return figure
