"""Figures of training: loss and error by epoch."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pathfinder.figures.style import MINIMA, SPLITS, UNITS, by_group, by_name, colours, legend_below, set_title
from pathfinder.figures.ticks import set_error_axis, set_loss_axis
from pathfinder.figures.words import ALIGNED, batch_norm_notes, of_pair, path_label
from pathfinder.tables.score_names import METRICS, score_column, score_columns


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
                style |= {"marker": "o"} if len(fit) == 1 else {}
                for split in splits:
                    if (column := score_column(split, metric)) in fit:
                        ax.plot(fit["epoch"], fit[column], SPLITS[split], label=label, **style)
        ax.set_xlabel("epoch")
        ax.set_ylabel(UNITS[metric])
        ax.set_title(metric, loc="left")
        values = training[score_columns(training, metric)].stack()
        (set_loss_axis if metric == "loss" else set_error_axis)(ax, values)  # errors fall from 100 % to a few, or none
    handles, labels = axes[0].get_legend_handles_labels()
    named = dict(zip(reversed(labels), reversed(handles), strict=True))  # the first line of each, which is solid
    dashes = {split: Line2D([], [], color="#595959", linestyle=SPLITS[split]) for split in splits}
    entries = {**{label: named[label] for label in dict.fromkeys(labels)}, **dashes}
    legend_below(figure, entries.values(), entries)
    trained = [*["minima"] * any(fit in MINIMA for fit in fits), *["curves"] * any(fit not in MINIMA for fit in fits)]
    tested = ["curves are tested at t = 1/2", *batch_norm_notes(training[~training["fit"].isin(MINIMA)])]
    title = f"Training of the {' and '.join(trained)}{of_pair(group)}"
    set_title(figure, title, [", ".join(tested)] if "curves" in trained else [])
    return figure
