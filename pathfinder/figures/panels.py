"""Panels side by side: a figure with one for each minimum, and the profile of loss and error that goes into one."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathfinder.figures.style import SPLITS, UNITS

_LOSS, _ERROR = "#0072B2", "#D55E00"


def panels(rows: pd.DataFrame, **kwargs: Any) -> tuple[Figure, Iterator[tuple[Axes, str, pd.DataFrame]]]:
    """A panel for each minimum in the order they come: one row of up to three, else two rows."""
    minima = list(rows.groupby("name", sort=False))
    lines = 1 if len(minima) <= 3 else 2
    columns = math.ceil(len(minima) / lines)
    figure = Figure(figsize=(1.0 + 3.8 * columns, 0.7 + 3.3 * lines))
    axes = list(figure.subplots(lines, columns, squeeze=False, **kwargs).flat)
    for spare in axes[len(minima) :]:
        spare.set_visible(False)
    return figure, ((ax, str(name), own) for ax, (name, own) in zip(axes, minima, strict=False))


def loss_and_error(ax: Axes, table: pd.DataFrame, along: str, limits: tuple[float, float]) -> list[Any]:
    """Loss on the left axis, error on the right, train solid and test dashed (Li et al. 2018, figure 2).

    Returns:
        The lines, for a legend.
    """
    other = ax.twinx()
    other.grid(False)
    other.spines["right"].set_visible(True)
    for split, style in SPLITS.items():
        for side, metric, colour in ((ax, "loss", _LOSS), (other, "error", _ERROR)):
            if f"{split}_{metric}" in table:
                for _, pair in table.groupby("pair", sort=False):
                    values, label = pair[f"{split}_{metric}"], f"{split} {metric}"
                    side.plot(pair[along], values, style, color=colour, linewidth=1.5, label=label)
    ax.set(yscale="log", ylim=limits, xlabel=along)
    other.set_ylim(0, 100)
    last = ax.get_subplotspec()
    if last is None or last.is_last_col():
        other.set_ylabel(UNITS["error"], color=_ERROR)
    else:
        other.tick_params(labelright=False)
    if last is None or last.is_first_col():
        ax.set_ylabel(UNITS["loss"], color=_LOSS)
    lines = [*ax.get_lines(), *other.get_lines()]
    return list({line.get_label(): line for line in lines}.values())


def loss_limits(table: pd.DataFrame, clip: float) -> tuple[float, float]:
    """The ends of a logarithmic axis that holds the losses of all splits, up to the clip."""
    losses = table[[column for column in table if column.endswith("_loss")]]
    low, high = losses[losses > 0].min(axis=None), min(losses.max(axis=None), clip)
    return float(low) / 1.5, float(high) * 1.5
