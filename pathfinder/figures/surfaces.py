"""Figures of landscapes: profiles and surfaces around minima, those of several side by side on one scale."""

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from pathfinder.figures.contours import COLOURS, Scale, gridded, labelled, level_bar
from pathfinder.figures.panels import loss_and_error, loss_limits, panels
from pathfinder.figures.style import legend_below


def surface_figures(surfaces: pd.DataFrame, trajectory: pd.DataFrame, scale: Scale) -> dict[str, Figure]:
    """Profiles with loss and error; surfaces as contour lines, filled contours and in three dimensions."""
    figures = {}
    for name, rows in surfaces.groupby("surface", sort=False):
        walked = trajectory[trajectory["surface"] == name]
        if rows["y"].isna().all():
            figures[f"profile-{name}"] = _profiles(rows, str(name), scale)
            continue
        for kind, filled in (("contours", False), ("filled", True)):
            figures[f"{kind}-{name}"] = _contours(rows, walked, str(name), scale, filled)
        figures[f"relief-{name}"] = _reliefs(rows, str(name), scale)
    return figures


def _profiles(rows: pd.DataFrame, title: str, scale: Scale) -> Figure:
    figure, places = panels(rows, sharex=True, sharey=True)
    limits = loss_limits(rows, scale.clip)
    for ax, name, own in places:
        lines = loss_and_error(ax, own, "x", limits)
        ax.set_title(name)
    legend_below(figure, lines, [line.get_label() for line in lines])
    figure.suptitle(title, fontsize=11)
    return figure


def _contours(rows: pd.DataFrame, trajectory: pd.DataFrame, title: str, scale: Scale, filled: bool) -> Figure:
    figure, places = panels(rows)
    levels = scale.levels(rows["train_loss"])
    norm, drawn = scale.norm(levels), None
    for ax, name, own in places:
        x, y, values = gridded(own, "train_loss", levels)
        if filled:
            drawn = ax.contourf(x, y, values, levels, norm=norm, cmap=COLOURS)
            labelled(ax, x, y, values, levels, colors="white", linewidths=0.5)
        else:
            labelled(ax, x, y, values, levels, norm=norm, cmap=COLOURS, linewidths=1)
        walked = trajectory[trajectory["name"] == name]
        ax.plot(walked["x"], walked["y"], ".-", color="#D55E00", linewidth=1.2, markersize=4)
        ax.plot(0, 0, "o", color="white", markeredgecolor="black", markersize=6)
        ax.grid(False)
        ax.locator_params(axis="x", nbins=5)
        ax.set(title=name, xlabel=_axis("x", walked), ylabel=_axis("y", walked))
        ax.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    if drawn is not None:
        level_bar(figure, drawn, figure.axes, "train loss (nats)", scale, aspect=30)
    figure.suptitle(_caption(rows, title, scale), fontsize=11)
    return figure


def _caption(rows: pd.DataFrame, title: str, scale: Scale) -> str:
    clipped = f", clipped at {scale.clip:g}" if rows["train_loss"].max() > scale.clip else ""
    return f"{title}: train loss (nats{clipped})"


def _axis(axis: str, walked: pd.DataFrame) -> str:
    """The axis, and how much of the trajectory's variance lies along it."""
    column = f"explained_{axis}"
    share = walked[column].iloc[0] if column in walked and len(walked) else math.nan
    return axis if math.isnan(share) else f"{axis} ({100 * share:.1f} % of the variance)"


def _reliefs(rows: pd.DataFrame, title: str, scale: Scale) -> Figure:
    figure, places = panels(rows, subplot_kw={"projection": "3d"})
    levels = scale.levels(rows["train_loss"])
    low, high = scale.height(levels[0]), scale.height(levels[-1])
    for ax, name, own in places:
        x, y, values = gridded(own, "train_loss", levels)
        mesh, steps = np.meshgrid(x, y), {"rcount": len(y), "ccount": len(x)}
        ax.plot_surface(*mesh, scale.height(values), cmap=COLOURS, vmin=low, vmax=high, linewidth=0, **steps)
        ax.set(title=name, xlabel="x", ylabel="y", zlim=(low, high))
        if scale.log:
            ax.zaxis.set_major_locator(MultipleLocator(1.0 if high - low > 1.5 else 0.25))
            ax.zaxis.set_major_formatter(lambda exponent, _: f"{10**exponent:.2g}")
        ax.tick_params(labelsize=8, pad=0)
        ax.locator_params(axis="x", nbins=4)
        ax.locator_params(axis="y", nbins=4)
    figure.suptitle(_caption(rows, title, scale), fontsize=11)
    return figure
