"""Panels side by side: one for each minimum, and the profile of loss and error that some of them show."""

import math
from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathfinder.figures.style import SPLITS, UNITS, by_name
from pathfinder.tables.score_names import score_column, score_columns

_LOSS, _ERROR = "#0072B2", "#D55E00"
TEST_ERROR = "test_error_of_minimum"  # a column that `draw` adds to tables of landscapes


def panels(rows: pd.DataFrame, **kwargs: Any) -> tuple[Figure, Iterator[tuple[Axes, str, pd.DataFrame]]]:
    """A figure with a panel for each minimum, in the order of the table: one row of up to three, else two rows.

    Args:
        rows: of a landscape.
        **kwargs: of `Figure.subplots`.

    Returns:
        The figure; and for each minimum its axes, its name and its rows.
    """
    minima = list(by_name(rows, "name"))
    lines = 1 if len(minima) <= 3 else 2
    columns = math.ceil(len(minima) / lines)
    figure = Figure(figsize=(1.0 + 3.8 * columns, 0.9 + 3.3 * lines))
    axes = list(figure.subplots(lines, columns, squeeze=False, **kwargs).flat)
    for spare in axes[len(minima) :]:
        spare.set_visible(False)
    for ax, (name, own) in zip(axes, minima, strict=False):
        error = own[TEST_ERROR].iloc[0] if TEST_ERROR in own else math.nan
        names = [name] if len(minima) > 1 else []  # the title of the figure names a single one
        ax.set_title(", ".join(names + ([] if pd.isna(error) else [f"test error {error:.1f} %"])))
    return figure, ((ax, name, own) for ax, (name, own) in zip(axes, minima, strict=False))


def loss_and_error(ax: Axes, table: pd.DataFrame, along: str, limits: tuple[float, float]) -> list[Artist]:
    """Draw loss on the left axis and error on the right, train solid and test dashed (Li et al. 2018, figure 2).

    Returns:
        The lines, for a legend.
    """
    other = ax.twinx()
    other.grid(False)
    other.spines["right"].set_visible(True)
    for split, style in SPLITS.items():
        for side, metric, colour in ((ax, "loss", _LOSS), (other, "error", _ERROR)):
            column = score_column(split, metric)
            if column in table:
                for _, pair in table.groupby("pair", sort=False):
                    label = f"{split} {metric}"
                    side.plot(pair[along], pair[column], style, color=colour, linewidth=1.5, label=label)
    ax.set(yscale="log", ylim=limits, xlabel=along)
    other.set_ylim(0, 100)
    place = ax.get_subplotspec()
    if place is None or place.is_last_col():
        other.set_ylabel(UNITS["error"], color=_ERROR)
    else:
        other.tick_params(labelright=False)
    if place is None or place.is_first_col():
        ax.set_ylabel(UNITS["loss"], color=_LOSS)
    lines = [*ax.get_lines(), *other.get_lines()]
    return list({line.get_label(): line for line in lines}.values())


def loss_limits(table: pd.DataFrame, clip: float) -> tuple[float, float]:
    """The ends of a logarithmic axis that shows the losses of all splits, up to the clip."""
    losses = table[score_columns(table, "loss")]
    low, high = losses[losses > 0].min(axis=None), min(losses.max(axis=None), clip)
    return float(low) / 1.5, float(high) * 1.5
