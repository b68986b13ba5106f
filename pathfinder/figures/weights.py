"""Figures of weights: the line between minima, and what explains it, the spread and the norm of their weights."""

import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.panels import loss_and_error, loss_limits
from pathfinder.figures.style import CLIP, MINIMA, group_of, legend_below

_SETTINGS = ("batch_size", "weight_decay", "lr", "epochs", "momentum", "label_smoothing")  # that panels may compare
_PANELS = 4  # side by side in one figure


def weight_figures(
    weights: pd.DataFrame, training: pd.DataFrame, minima: pd.DataFrame, paths: pd.DataFrame, groups: dict[str, str]
) -> dict[str, Figure]:
    """The line between minima, over histograms of their weights and their norm by epoch; groups on one scale."""
    lines = paths[paths["path"] == "line"]
    tables = [table.assign(group=group_of(table["pair"], groups)) for table in (lines, weights, training, minima)]
    names = list(tables[1]["group"].unique())
    pages = [names[i : i + _PANELS] for i in range(0, len(names), _PANELS)]
    figures = [_weight_figure(page, *tables) for page in pages]
    return {"weights" if i == 0 else f"weights-{i + 1}": figure for i, figure in enumerate(figures)}


def _weight_figure(
    names: list[str], lines: pd.DataFrame, weights: pd.DataFrame, training: pd.DataFrame, minima: pd.DataFrame
) -> Figure:
    trained = training[training["fit"].isin(MINIMA)] if len(training) else training
    drawn = {"line": len(lines) > 0, "weights": True, "norm": len(trained) > 0}
    rows = [name for name, there in drawn.items() if there]
    figure = Figure(figsize=(1.2 + 3.6 * len(names), 3.1 * len(rows) + 0.6))
    grid = figure.subplots(len(rows), len(names), sharex="row", sharey="row", squeeze=False)
    limits = loss_limits(lines, CLIP) if drawn["line"] else (0.1, 1.0)
    for column, group in zip(grid.T, names, strict=True):
        axes = dict(zip(rows, column, strict=True))
        labels = _differences(minima[minima["group"] == group])
        column[0].set_title(group)
        if drawn["line"]:
            handles = loss_and_error(axes["line"], lines[lines["group"] == group], "t", limits)
        for name, bins in weights[weights["group"] == group].groupby("name", sort=False):
            side, inner = str(name)[-1], bins.iloc[1:-1]  # the outermost bins hold the tails
            edges = [*inner["low"], inner["high"].iloc[-1]]
            axes["weights"].stairs(inner["density"], edges, color=MINIMA[side], label=labels[side], linewidth=1.4)
        axes["weights"].set(xlabel="weight", yscale="log")
        for (_, side), fit in trained[trained["group"] == group].groupby(["pair", "fit"], sort=False):
            axes["norm"].plot(fit["epoch"], fit["norm"], color=MINIMA[side], label=labels[side], linewidth=1.6)
            axes["norm"].set(xlabel="epoch")
        sides = dict(zip(*reversed(axes["weights"].get_legend_handles_labels()), strict=True))  # one for all pairs
        column[-1].legend(sides.values(), sides.keys(), fontsize=9)
    if drawn["line"]:
        legend_below(figure, handles, [handle.get_label() for handle in handles])
    grid[rows.index("weights"), 0].set_ylabel("density of weights")
    if drawn["norm"]:
        grid[-1, 0].set_ylabel("norm of all weights")
    return figure


def _differences(minima: pd.DataFrame) -> dict[str, str]:
    """What to call the two sides of a group's pairs: by the settings in which they differ."""
    labels = dict.fromkeys(MINIMA, "")
    settings = [c for c in _SETTINGS if c in minima and minima[c].nunique() > 1]
    for side in labels:
        own = minima[minima["name"].str.endswith(f"-{side}")] if len(minima) else minima
        labels[side] = ", ".join([side, *(f"{c.replace('_', ' ')} {own[c].iloc[0]:g}" for c in settings if len(own))])
    return labels
