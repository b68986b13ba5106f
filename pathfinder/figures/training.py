"""Figures of training: loss and error by epoch."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from pathfinder.figures.style import (
    ALIGNED,
    MINIMA,
    SPLITS,
    UNITS,
    by_group,
    by_name,
    colours,
    legend_below,
    of_pair,
    path_label,
    set_title,
)  # fmt: skip
from pathfinder.tables.score_names import METRICS, score_column, score_columns

_ERRORS = [0, 0.5, 1, 2, 5, 10, 20, 50, 100]  # ticks, percent


def training_figures(training: pd.DataFrame, groups: dict[str, str]) -> dict[str, Figure]:
    """Loss and error by epoch, a figure for each group of pairs."""
    return {f"training-{group}": _training_figure(rows, group) for group, rows in by_group(training, groups)}


def _training_figure(training: pd.DataFrame, group: str) -> Figure:
    metrics = [metric for metric in METRICS if score_column("train", metric) in training]
    figure = Figure(figsize=(4.8 * len(metrics), 4.2))
    axes = figure.subplots(1, len(metrics), squeeze=False)[0]
    splits = [split for split in SPLITS if score_column(split, "loss") in training]
    fits = list(training["fit"].unique())
    colour = {**colours(fit for fit in fits if fit not in MINIMA), **MINIMA}
    for ax, metric in zip(axes, metrics, strict=True):
        for _, rows in by_name(training, "pair"):
            for name, fit in by_name(rows, "fit"):
                label = f"minimum {name}" if name in MINIMA else path_label(name)
                style = {"color": colour[name], "linewidth": 1.5, "alpha": 0.45 if name.startswith(ALIGNED) else 1.0}
                for split in splits:
                    if (column := score_column(split, metric)) in fit:
                        ax.plot(fit["epoch"], fit[column], SPLITS[split], label=label, **style)
        ax.set_xlabel("epoch")
        ax.set_ylabel(UNITS[metric])
        ax.set_title(metric, loc="left")
        if metric == "loss":
            ax.set_yscale("log")
            low, high = ax.get_ylim()
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
            ax.yaxis.set_major_formatter("{x:g}")
            ax.yaxis.set_minor_locator(NullLocator())
        else:  # errors fall from nearly 100 % to a few, or none
            ax.set_yscale("symlog", linthresh=1.0)
            errors = training[score_columns(training, "error")]
            ax.set_ylim(max([tick for tick in _ERRORS if tick < 0.9 * errors.min(axis=None)], default=0), 100)
            ax.yaxis.set_major_locator(FixedLocator(_ERRORS))
            ax.yaxis.set_minor_locator(NullLocator())
            ax.yaxis.set_major_formatter("{x:g}")
    handles, labels = axes[0].get_legend_handles_labels()
    named = dict(zip(reversed(labels), reversed(handles), strict=True))  # the first line of each, which is solid
    dashes = {split: Line2D([], [], color="#595959", linestyle=SPLITS[split]) for split in splits}
    entries = {**{label: named[label] for label in dict.fromkeys(labels)}, **dashes}
    legend_below(figure, entries.values(), entries)
    trained = [*["minima"] * any(fit in MINIMA for fit in fits), *["curves"] * any(fit not in MINIMA for fit in fits)]
    tested = " (curves are tested at t = 1/2)" if "curves" in trained else ""
    set_title(figure, f"Training of the {' and '.join(trained)}{of_pair(group)}{tested}")
    return figure
