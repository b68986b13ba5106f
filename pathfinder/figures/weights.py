"""Figures of weights: how they are spread at the minima, over how their norm grew."""

import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.style import MINIMA, group_of

_SETTINGS = ("batch_size", "weight_decay", "lr", "epochs", "momentum", "label_smoothing")  # that panels may compare
_PANELS = 4  # side by side in one figure


def weight_figures(
    weights: pd.DataFrame, training: pd.DataFrame, minima: pd.DataFrame, groups: dict[str, str]
) -> dict[str, Figure]:
    """Histograms of the minima's weights over their norm by epoch, groups side by side on one scale."""
    tables = [table.assign(group=group_of(table["pair"], groups)) for table in (weights, training, minima)]
    names = list(tables[0]["group"].unique())
    pages = [names[i : i + _PANELS] for i in range(0, len(names), _PANELS)]
    figures = [_weight_figure(page, *tables) for page in pages]
    return {"weights" if i == 0 else f"weights-{i + 1}": figure for i, figure in enumerate(figures)}


def _weight_figure(names: list[str], weights: pd.DataFrame, training: pd.DataFrame, minima: pd.DataFrame) -> Figure:
    trained = training[training["fit"].isin(MINIMA)] if len(training) else training
    rows = 2 if len(trained) else 1
    figure = Figure(figsize=(1.2 + 3.6 * len(names), 3.1 * rows + 0.6))
    axes = figure.subplots(rows, len(names), sharex="row", sharey="row", squeeze=False)
    for column, group in zip(axes.T, names, strict=True):
        labels = _differences(minima[minima["group"] == group])
        for name, bins in weights[weights["group"] == group].groupby("name", sort=False):
            side, inner = str(name)[-1], bins.iloc[1:-1]  # the outermost bins hold the tails
            edges = [*inner["low"], inner["high"].iloc[-1]]
            column[0].stairs(inner["density"], edges, color=MINIMA[side], label=labels[side], linewidth=1.4)
        column[0].set(title=group, xlabel="weight", yscale="log")
        for (_, side), fit in trained[trained["group"] == group].groupby(["pair", "fit"], sort=False):
            column[-1].plot(fit["epoch"], fit["norm"], color=MINIMA[side], label=labels[side], linewidth=1.6)
            column[-1].set(xlabel="epoch")
        handles = dict(zip(*reversed(column[0].get_legend_handles_labels()), strict=True))  # one for all pairs
        column[-1].legend(handles.values(), handles.keys(), fontsize=9)
    axes[0, 0].set_ylabel("density of weights")
    if rows > 1:
        axes[1, 0].set_ylabel("norm of all weights")
    return figure


def _differences(minima: pd.DataFrame) -> dict[str, str]:
    """What to call the two sides of a group's pairs: by the settings in which they differ."""
    labels = dict.fromkeys(MINIMA, "")
    settings = [c for c in _SETTINGS if c in minima and minima[c].nunique() > 1]
    for side in labels:
        own = minima[minima["name"].str.endswith(f"-{side}")] if len(minima) else minima
        labels[side] = ", ".join([side, *(f"{c.replace('_', ' ')} {own[c].iloc[0]:g}" for c in settings if len(own))])
    return labels
