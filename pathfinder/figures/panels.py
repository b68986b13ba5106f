"""Panels side by side: one for each minimum, and the profile of loss and error that some of them show."""

import math
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathfinder.figures.style import SPLITS, UNITS, by_name, set_title
from pathfinder.figures.ticks import set_log_axis
from pathfinder.figures.titles import panel_titles
from pathfinder.figures.words import batch_norm_notes, surface_notes, surroundings
from pathfinder.tables.score_names import score_column, score_columns

_LOSS, _ERROR = "#0072B2", "#D55E00"
_LETTER = 0.078  # inches, of a panel's title


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        ax: where it is drawn.
        name: the minimum.
        surface: the profile, surface or path.
        rows: of the table.
    """

    ax: Axes
    name: str
    surface: str
    rows: pd.DataFrame


@dataclass(frozen=True)
class Panels:
    """The panels of a figure.

    Attributes:
        figure: the figure.
        panels: one for each minimum and surface.
        titles: of the panels, without test errors.
        notes: what holds for all of them.
    """

    figure: Figure
    panels: list[Panel]
    titles: list[str]
    notes: list[str]

    def __iter__(self) -> Iterator[Panel]:
        return iter(self.panels)

    def set_title(self, what: str, *notes: str) -> None:
        """Write what is shown, around which minima, and along which directions."""
        surfaces = {panel.surface for panel in self.panels}
        surface = surfaces.pop() if len(surfaces) == 1 else "surface"
        written = [*self.notes, *filter(None, notes), *surface_notes(surface)]
        set_title(self.figure, f"{what} {surroundings(self.titles, surface)}", written)


def make_panels(
    rows: pd.DataFrame,
    minima: pd.DataFrame,
    by: str = "surface",
    size: tuple[float, float] = (3.8, 3.3),
    bar: float = 0.0,
    **kwargs: Any,
) -> Panels:
    """A figure with a panel for each minimum and surface, in the order of the table; one row of up to three.

    Args:
        rows: of a landscape.
        minima: of the run; its names are those of the rows.
        by: the column that names surfaces.
        size: of a panel, in inches.
        bar: the width of a colour bar on the right, in inches.
        **kwargs: of `Figure.subplots`.
    """
    parts = [((name, surface), part) for name, own in by_name(rows, "name") for surface, part in by_name(own, by)]
    lines = 1 if len(parts) <= 3 else 2 if len(parts) <= 8 else 3
    columns = math.ceil(len(parts) / lines)
    notes = [batch_norm_notes(own) for _, own in parts]
    differ = len({tuple(own) for own in notes}) > 1
    titles = panel_titles([key for key, _ in parts], minima, notes if differ else [])
    shown = titles if len(parts) > 1 else [""]  # the title of the figure names a single one
    written = [_panel_title(title, key[0], minima, size[0]) for title, (key, _) in zip(shown, parts, strict=True)]
    more = max([title.count("\n") for title in written], default=0)
    figure = Figure(figsize=(bar + 0.4 + size[0] * columns, 0.9 + (size[1] + 0.3 + 0.2 * more) * lines))
    axes = list(figure.subplots(lines, columns, squeeze=False, **kwargs).flat)
    for spare in axes[len(parts) :]:
        spare.set_visible(False)
    found = []
    for ax, title, ((name, surface), own) in zip(axes, written, parts, strict=False):
        ax.set_title(title, fontsize=10.5)
        found.append(Panel(ax, name, surface, own))
    return Panels(figure, found, titles, [] if differ else notes[0] if notes else [])


def _panel_title(title: str, name: str, minima: pd.DataFrame, width: float) -> str:
    """The title of a panel, with the test error of its minimum, on as many lines as its width needs."""
    error = minima["test_error"].get(name, math.nan) if "test_error" in minima else math.nan
    parts = [*filter(None, title.split("; ")), *([] if pd.isna(error) else [f"test error {error:.1f} %"])]
    lines = [line for part in parts for line in _wrap(part, int((width - 0.2) / _LETTER))]
    return "\n".join(lines)


def _wrap(text: str, letters: int) -> list[str]:
    """Lines of at most so many letters, if possible broken after a comma."""
    lines = [""]
    for part in text.split(", "):
        longer = f"{lines[-1]}, {part}" if lines[-1] else part
        lines = (
            [*lines[:-1], longer] if len(longer) < letters or not lines[-1] else [*lines[:-1], f"{lines[-1]},", part]
        )
    return [short for line in lines for short in textwrap.wrap(line, letters, break_on_hyphens=False)]


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
    set_log_axis(ax, *limits)
    ax.set_xlabel(along)
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
    losses = table[score_columns(table, "loss")].to_numpy(dtype=float)
    found = losses[np.isfinite(losses) & (losses > 0)]
    high = min(float(found.max()), clip) if len(found) else 1.0
    low = min(float(found.min()), high) if len(found) else 0.1
    return low / 1.5, high * 1.5
