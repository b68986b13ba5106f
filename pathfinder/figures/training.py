"""Figures of training: loss and error by epoch."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from pathfinder.figures.style import ALIGNED, MINIMA, SPLITS, UNITS, by_group, colours, legend_below

_ERRORS = [0, 0.5, 1, 2, 5, 10, 20, 50, 100]  # ticks, percent


def training_figures(training: pd.DataFrame, groups: dict[str, str]) -> dict[str, Figure]:
    """Learning curves: loss and error by epoch, a figure per group of pairs."""
    return {f"training-{group}": _training_figure(rows, group) for group, rows in by_group(training, groups)}


def _training_figure(training: pd.DataFrame, title: str) -> Figure:
    metrics = [metric for metric in ("loss", "error") if f"train_{metric}" in training]
    figure = Figure(figsize=(4.8 * len(metrics), 4.2))
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    chosen = {**colours(fit for fit in training["fit"].unique() if fit not in MINIMA), **MINIMA}
    for ax, metric in zip(axes, metrics, strict=True):
        for (_, name), fit in training.groupby(["pair", "fit"], sort=False):
            drawn = {"color": chosen[name], "linewidth": 1.5, "alpha": 0.45 if name.startswith(ALIGNED) else 1.0}
            for split, style in SPLITS.items():
                if f"{split}_{metric}" in fit:
                    ax.plot(fit["epoch"], fit[f"{split}_{metric}"], style, label=f"{name} {split}", **drawn)
        ax.set_xlabel("epoch")
        ax.set_ylabel(UNITS[metric])
        ax.set_title(metric, loc="left")
        if metric == "loss":
            ax.set_yscale("log")
            low, high = ax.get_ylim()
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_locator(NullLocator())
        else:  # the first epochs are wrong about everything, the last about a few in a hundred
            ax.set_yscale("symlog", linthresh=1.0)
            errors = training[[column for column in training if column.endswith("_error")]]
            ax.set_ylim(max([tick for tick in _ERRORS if tick < 0.9 * errors.min(axis=None)], default=0), 100)
            ax.yaxis.set_major_locator(FixedLocator(_ERRORS))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_major_formatter("{x:g}")
    handles = dict(zip(*reversed(axes[0].get_legend_handles_labels()), strict=True))  # one for all pairs
    legend_below(figure, list(handles.values()), list(handles))
    figure.suptitle(f"{title}: training (test scores of curves at t = 1/2)", fontsize=11)
    return figure
