"""Figures of landscapes: profiles and surfaces around minima, side by side on one scale."""

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.contours import (
    POINTS,
    by_rank,
    draw_lines,
    fill,
    level_bar,
    line_colours,
    mark_points,
    mark_unknown,
)
from pathfinder.figures.grid import Grid
from pathfinder.figures.levels import Levels, Scale
from pathfinder.figures.panels import Panel, Panels, loss_and_error, loss_limits, make_panels
from pathfinder.figures.relief import draw_relief
from pathfinder.figures.style import by_name, legend_below

_LOSS = "train loss (nats)"
_TRAINING: dict[str, Any] = {"color": "#D55E00", "linewidth": 1.2, "markersize": 4}
_START: dict[str, Any] = {"color": "white", "markeredgecolor": "#D55E00", "markeredgewidth": 1.6, "markersize": 8}
_MINIMUM: dict[str, Any] = {"color": "white", "markeredgecolor": "black", "markersize": 7}
_BAR = 0.9  # inches, of a colour bar with its labels
_SEEN = 0.02  # trajectories shorter than this share of a panel would hide behind the minimum


def surface_figures(
    surfaces: pd.DataFrame, trajectory: pd.DataFrame, minima: pd.DataFrame, scale: Scale, together: bool = False
) -> dict[str, Figure]:
    """Profiles with loss and error; surfaces as contour lines, filled contours and in three dimensions.

    Args:
        surfaces, trajectory: the tables.
        minima: the table of minima, indexed by name.
        scale: of all losses.
        together: whether surfaces of different names share a figure, named after all of them.
    """
    figures = {}
    lines = surfaces.groupby(["name", "surface"], sort=False)["y"].transform("count") == 0
    for kind, rows in ((True, surfaces[lines]), (False, surfaces[~lines])):
        if rows.empty:
            continue
        names = list(rows["surface"].unique())
        parts = [("+".join(names), rows)] if together else by_name(rows, "surface")
        for name, own in parts:
            checkpoints = trajectory[trajectory["surface"].isin(own["surface"].unique())]
            figures |= _profiles(name, own, minima, scale) if kind else _surfaces(name, own, checkpoints, minima, scale)
    return figures


def _profiles(name: str, rows: pd.DataFrame, minima: pd.DataFrame, scale: Scale) -> dict[str, Figure]:
    panels = make_panels(rows, minima, sharex=True, sharey=True)
    limits = loss_limits(rows, scale.clip)
    lines = [line for panel in panels for line in loss_and_error(panel.ax, panel.rows, "x", limits)]
    legend_below(panels.figure, lines, [str(line.get_label()) for line in lines])
    panels.set_title("Loss and error")
    return {f"profile-{name}": panels.figure}


def _surfaces(
    name: str, rows: pd.DataFrame, trajectory: pd.DataFrame, minima: pd.DataFrame, scale: Scale
) -> dict[str, Figure]:
    levels = scale.levels(rows["train_loss"])
    drawn = {
        "contours": _lines(rows, trajectory, minima, scale.line_levels(rows["train_loss"]), scale.points),
        "filled": _filled(rows, trajectory, minima, levels, scale.points),
        "relief": _reliefs(rows, minima, levels),
    }
    clipped = f"clipped at {scale.clip:g} nats" if levels.clipped else ""
    unknown = "grey: not a number" if rows["train_loss"].isna().any() else ""
    for panels in drawn.values():
        panels.set_title("Train loss (nats)", clipped, unknown)
    return {f"{kind}-{name}": panels.figure for kind, panels in drawn.items()}


def _lines(rows: pd.DataFrame, trajectory: pd.DataFrame, minima: pd.DataFrame, levels: Levels, points: bool) -> Panels:
    panels = make_panels(rows, minima)
    style: dict[str, Any] = {"norm": by_rank(levels), "cmap": line_colours(), "linewidths": 0.9}
    for panel in panels:
        grid = Grid.of(panel.rows, "train_loss", levels).refine(POINTS)
        mark_unknown(panel.ax, grid)
        draw_lines(panel.ax, grid, levels, **style)
        mark_points(panel.ax, panel.rows, points)
        _finish(panel, trajectory, grid)
    _add_legend(panels)
    return panels


def _filled(rows: pd.DataFrame, trajectory: pd.DataFrame, minima: pd.DataFrame, levels: Levels, points: bool) -> Panels:
    panels = make_panels(rows, minima, bar=_BAR)
    for panel in panels:
        grid = Grid.of(panel.rows, "train_loss", levels).refine(POINTS)
        fill(panel.ax, grid, levels)
        draw_lines(panel.ax, grid, levels, "#404040", colors="white", linewidths=0.6)
        mark_points(panel.ax, panel.rows, points)
        _finish(panel, trajectory, grid)
    _add_legend(panels)
    level_bar(panels.figure, levels, _LOSS, ax=panels.figure.axes, aspect=30)
    return panels


def _reliefs(rows: pd.DataFrame, minima: pd.DataFrame, levels: Levels) -> Panels:
    panels = make_panels(rows, minima, size=(4.1, 3.7), subplot_kw={"projection": "3d"})
    right = 1 - 0.4 / panels.figure.get_figwidth()  # the layout does not see how far labels of heights reach
    panels.figure.set_layout_engine("constrained", rect=(0, 0, right, 1))
    for panel in panels:
        draw_relief(panel.ax, Grid.of(panel.rows, "train_loss", levels), levels, _LOSS)
    return panels


def _finish(panel: Panel, trajectory: pd.DataFrame, grid: Grid) -> None:
    """Draw the minimum and its training over a map, and set the axes."""
    ax, width, height = panel.ax, grid.x[-1] - grid.x[0], grid.y[-1] - grid.y[0]
    own = trajectory[(trajectory["name"] == panel.name) & (trajectory["surface"] == panel.surface)]
    reach = max([(own[axis].max() - own[axis].min()) / size for axis, size in (("x", width), ("y", height))], default=0)
    if reach > _SEEN:
        ax.plot(own["x"], own["y"], ".-", label="checkpoints of its training", **_TRAINING)
        ax.plot(own["x"].iloc[0], own["y"].iloc[0], "^", label="start", **_START)
    ax.plot(0, 0, "o", label="end (minimum)" if reach > _SEEN else "minimum", **_MINIMUM)
    ax.grid(False)
    if 0.7 < width / height < 1.4:
        ax.set_aspect("equal")
    ax.locator_params(nbins=5)
    ax.set(xlabel=_axis_label("x", own), ylabel=_axis_label("y", own))
    ax.set(xlim=(grid.x[0], grid.x[-1]), ylim=(grid.y[0], grid.y[-1]))


def _add_legend(panels: Panels) -> None:
    lines = [line for panel in panels for line in panel.ax.get_lines()]
    labels = [str(line.get_label()) for line in lines]
    if "start" in labels:
        legend_below(panels.figure, lines, labels)


def _axis_label(axis: str, checkpoints: pd.DataFrame) -> str:
    """The axis, and how much of the checkpoints' variance lies along it."""
    shares = checkpoints[f"explained_{axis}"].dropna() if f"explained_{axis}" in checkpoints else ()
    return f"{axis} ({100 * shares.iloc[0]:.1f} % of the variance)" if len(shares) else axis
