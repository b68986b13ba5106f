"""Figures of paths: loss and error along t."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pathfinder.figures.style import UNITS, by_group, colours, dashes, legend_below


def path_figures(paths: pd.DataFrame, groups: dict[str, str]) -> dict[str, Figure]:
    """Loss and error along t, train and test, a figure per group of pairs."""
    return {f"paths-{group}": _path_figure(rows, group) for group, rows in by_group(paths, groups)}


def _path_figure(paths: pd.DataFrame, title: str) -> Figure:
    splits = [split for split in ("train", "validation", "test") if f"{split}_loss" in paths]
    splits = splits or sorted({column.removesuffix("_loss") for column in paths if column.endswith("_loss")})
    metrics = [metric for metric in ("loss", "error") if f"{splits[0]}_{metric}" in paths]
    figure = Figure(figsize=(4.6 * len(metrics), 3.2 * len(splits) + 0.5))
    axes = figure.subplots(len(splits), len(metrics), sharex=True, squeeze=False)
    chosen = colours(paths["path"].unique())
    for row, split in zip(axes, splits, strict=True):
        for ax, metric in zip(row, metrics, strict=True):
            for name, path in paths.groupby("path", sort=False):
                _draw_path(ax, path, f"{split}_{metric}", chosen[name], name)
            ax.set_title(f"{split} {metric}", loc="left")
            ax.set_ylabel(UNITS[metric])
            _set_scale(ax, paths[f"{split}_{metric}"], metric)
    for ax in axes.flat:
        if paths["t"].min() < 0 or paths["t"].max() > 1:
            for t, end in ((0, "a"), (1, "b")):
                ax.axvline(t, color="#8c8c8c", linewidth=0.9, linestyle=":")
                ax.text(t, 1.0, end, transform=ax.get_xaxis_transform(), ha="center", va="bottom", fontsize=9)
    for ax in axes[-1]:
        ax.set_xlabel("t")
    pairs = paths["pair"].nunique()
    shaded = "shaded: 95 % interval over examples" if pairs == 1 else f"mean and range over {pairs} pairs"
    handles, labels = axes[0, 0].get_legend_handles_labels()
    legend_below(figure, handles, labels)
    figure.suptitle(f"{title} ({shaded})", fontsize=11)
    return figure


def _draw_path(ax: Axes, path: pd.DataFrame, column: str, colour: str, name: str) -> None:
    """One path: with its interval over examples, or over the pairs where there are several."""
    by_t = path.groupby("t")[column]
    t, mean = by_t.mean().index.to_numpy(), by_t.mean().to_numpy()
    if path["pair"].nunique() == 1:
        half = 1.96 * path[f"{column}_se"].to_numpy()
        low, high = mean - half, mean + half
    else:
        low, high = by_t.min().to_numpy(), by_t.max().to_numpy()
    ax.plot(t, mean, dashes(name), color=colour, label=name, linewidth=1.8)
    ax.fill_between(
        t,
        np.maximum(low, 0 if column.endswith("error") else 1e-12),
        high,
        color=colour,
        alpha=0.2,
        linewidth=0,
    )


def _set_scale(ax: Axes, values: pd.Series, metric: str) -> None:
    """Losses span decades between a valley and the mountain; errors are read in points."""
    positive = values[values > 0]
    if metric == "loss" and len(positive) == len(values) and values.max() > 20 * values.min():
        ax.set_yscale("log")
        ax.set_ylim(values.min() / 2.5, values.max() * 2)
    else:
        ax.set_ylim(bottom=0 if values.min() >= 0 else None, top=1 if values.max() == 0 else None)
