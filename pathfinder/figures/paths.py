"""Figures of paths: loss and error along t."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.interpolate import PchipInterpolator

from pathfinder.figures.style import GUIDE, SPLITS, UNITS, by_group, by_name, colours, legend_below, marks, set_title
from pathfinder.figures.ticks import set_error_axis, set_loss_axis
from pathfinder.figures.words import batch_norm_notes, of_pair, path_label
from pathfinder.scoring.means import STANDARD_ERRORS
from pathfinder.tables.score_names import METRICS, parse_score_column, score_column, score_columns

_DRAWN = 201  # points at which a path is drawn that chose its own
_DOTS: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 5, "markeredgecolor": "white", "zorder": 3}
_ENDS = "black"


def path_figures(paths: pd.DataFrame, rescored: pd.DataFrame, groups: dict[str, str]) -> dict[str, Figure]:
    """Loss and error along t for each split, a figure for each group of pairs; of one pair with what was rescored."""
    return {f"paths-{group}": _path_figure(rows, rescored, group) for group, rows in by_group(paths, groups)}


def _path_figure(paths: pd.DataFrame, rescored: pd.DataFrame, group: str) -> Figure:
    scored = {score.split for name in score_columns(paths, "loss") if (score := parse_score_column(name))}
    splits = [split for split in SPLITS if split in scored] or sorted(scored)
    metrics = [metric for metric in METRICS if score_column(splits[0], metric) in paths]
    figure = Figure(figsize=(4.6 * len(metrics), 3.2 * len(splits) + 0.6))
    axes = figure.subplots(len(splits), len(metrics), sharex=True, squeeze=False)
    colour, pairs = colours(paths["path"].unique()), paths["pair"].nunique()
    whole = rescored[rescored["pair"].isin(paths["pair"])] if pairs == 1 else rescored[:0]
    for row, split in zip(axes, splits, strict=True):
        for ax, metric in zip(row, metrics, strict=True):
            column = score_column(split, metric)
            for name, path in by_name(paths, "path"):
                _draw_path(ax, path, column, {"color": colour[name], "linestyle": SPLITS.get(split, "-")})
            for name, points in by_name(whole, "path"):
                ax.plot(points["t"], points[column], color=colour.get(name, _ENDS), **_DOTS)
            ax.set_title(f"{split} {metric}", loc="left")
            ax.set_ylabel(UNITS[metric])
            (set_loss_axis if metric == "loss" else set_error_axis)(
                ax, pd.concat([paths, whole])[column] if len(whole) else paths[column]
            )
    if paths["t"].min() < 0 or paths["t"].max() > 1:
        for ax in axes.flat:
            for t, end in ((0, "a"), (1, "b")):
                ax.axvline(t, **GUIDE)
                ax.text(t, 1.0, end, transform=ax.get_xaxis_transform(), ha="center", va="bottom", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("t (0 at minimum a, 1 at minimum b)")
    shown = "shaded: 95 % interval over examples" if pairs == 1 else f"mean and range over {pairs} pairs"
    if len(whole):
        shown += "; dots: on all examples"
    legend_below(figure, *axes[0, 0].get_legend_handles_labels())
    set_title(figure, f"Paths between the minima{of_pair(group)}", [*batch_norm_notes(paths), shown])
    return figure


def _draw_path(ax: Axes, path: pd.DataFrame, column: str, style: dict[str, Any]) -> None:
    """Draw the mean of a path over its pairs, and their range; for one pair, the interval over its examples."""
    pairs, name = [one.sort_values("t") for _, one in by_name(path, "pair")], path["path"].iloc[0]
    t = _common(pairs)
    values = np.array([_at(t, one, column) for one in pairs])
    if len(pairs) == 1:
        half = STANDARD_ERRORS * _at(t, pairs[0], f"{column}_se")
        low, high = values[0] - half, values[0] + half
    else:
        low, high = values.min(0), values.max(0)
    ax.plot(t, values.mean(0), label=path_label(name), linewidth=1.8, **style, **marks(name, len(t)))
    lowest = 0 if column.endswith("error") else 1e-12
    ax.fill_between(t, np.maximum(low, lowest), high, color=style["color"], alpha=0.2, linewidth=0)


def _common(pairs: list[pd.DataFrame]) -> np.ndarray:
    """The t at which paths are drawn: their own, or a fine grid where each chose its own."""
    own = pairs[0]["t"].to_numpy()
    equal = np.allclose(np.diff(own), np.diff(own)[:1]) and all(np.array_equal(own, one["t"]) for one in pairs)
    return own if equal else np.linspace(own.min(), own.max(), _DRAWN)


def _at(t: np.ndarray, path: pd.DataFrame, column: str) -> np.ndarray:
    """The values of a path at t: as scored, or monotone cubics through them; NaN next to one that is not finite."""
    own, values = path["t"].to_numpy(), path[column].to_numpy()
    if np.array_equal(own, t):
        return values
    finite = np.isfinite(values)
    if finite.sum() < 2:
        return np.full(len(t), np.nan)
    right = np.searchsorted(own, t).clip(1, len(own) - 1)
    known = finite[right - 1] & finite[right]
    return np.where(known, PchipInterpolator(own[finite], values[finite])(t), np.nan)
