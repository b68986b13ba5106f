"""Figures of weights: the line between minima, and the distribution and norm of their weights."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from pathfinder.figures.panels import loss_and_error, loss_limits
from pathfinder.figures.style import CLIP, MINIMA, by_name, groups_of, legend_below, set_title

_SETTINGS = ("batch_size", "weight_decay", "lr", "epochs", "momentum", "label_smoothing")  # that may tell a from b
_PANELS = 4  # side by side in one figure


@dataclass(frozen=True)
class _Tables:
    """The tables of some groups of pairs."""

    weights: pd.DataFrame
    training: pd.DataFrame
    minima: pd.DataFrame
    lines: pd.DataFrame

    def of(self, group: str) -> "_Tables":
        """The rows of one group."""
        tables = (self.weights, self.training, self.minima, self.lines)
        return _Tables(*(table[table["group"] == group] for table in tables))


def weight_figures(
    weights: pd.DataFrame, training: pd.DataFrame, minima: pd.DataFrame, paths: pd.DataFrame, groups: dict[str, str]
) -> dict[str, Figure]:
    """The line between minima, the histograms of their weights and their norm by epoch; all groups on one scale."""
    fits, lines = training[training["fit"].isin(MINIMA)], paths[paths["path"] == "line"]
    tables = [table.assign(group=groups_of(table["pair"], groups)) for table in (weights, fits, minima, lines)]
    names = list(tables[0]["group"].unique())
    pages = [names[i : i + _PANELS] for i in range(0, len(names), _PANELS)]
    figures = [_weight_figure(page, _Tables(*tables)) for page in pages]
    return {"weights" if i == 0 else f"weights-{i + 1}": figure for i, figure in enumerate(figures)}


def _weight_figure(groups: list[str], tables: _Tables) -> Figure:
    shown = {"line": len(tables.lines) > 0, "weights": True, "norm": len(tables.training) > 0}
    rows = [name for name, present in shown.items() if present]
    figure = Figure(figsize=(1.2 + 3.6 * len(groups), 3.1 * len(rows) + 0.9))
    grid = figure.subplots(len(rows), len(groups), sharex="row", sharey="row", squeeze=False)
    limits = loss_limits(tables.lines, CLIP) if shown["line"] else (0.1, 1.0)
    lines = []
    for column, group in zip(grid.T, groups, strict=True):
        axes, own = dict(zip(rows, column, strict=True)), tables.of(group)
        labels = _labels(own.minima)
        column[0].set_title(group)
        if shown["line"]:
            lines += loss_and_error(axes["line"], own.lines, "t", limits)
        for name, bins in by_name(own.weights, "name"):
            side = next((side for side in MINIMA if name.endswith(f"-{side}")), "a")  # one minimum alone has no side
            inner = bins.iloc[1:-1]  # the first and last bin hold the few largest weights
            edges = [*inner["low"], inner["high"].iloc[-1]]
            axes["weights"].stairs(inner["density"], edges, color=MINIMA[side], label=labels[side], linewidth=1.4)
        axes["weights"].set(xlabel="weight", yscale="log")
        for _, fits in by_name(own.training, "pair"):
            for side, fit in by_name(fits, "fit"):
                axes["norm"].plot(fit["epoch"], fit["norm"], color=MINIMA[side], label=labels[side], linewidth=1.6)
                axes["norm"].set(xlabel="epoch")
        sides = dict(zip(*reversed(axes["weights"].get_legend_handles_labels()), strict=True))  # one for all pairs
        column[-1].legend(sides.values(), sides.keys(), fontsize=9)
    if shown["line"]:
        legend_below(figure, lines, [str(line.get_label()) for line in lines])
    grid[rows.index("weights"), 0].set_ylabel("density of weights")
    if shown["norm"]:
        grid[-1, 0].set_ylabel("norm of all weights")
    parts = {"line": "line between them", "weights": "weights", "norm": "norm by epoch"}
    set_title(figure, f"Minima a and b of each group: {', '.join(parts[name] for name in rows)}")
    return figure


def _labels(minima: pd.DataFrame) -> dict[str, str]:
    """What to call the minima a and b of a group: with the settings in which they differ."""
    labels = {}
    settings = [c for c in _SETTINGS if c in minima and minima[c].nunique() > 1]
    for side in MINIMA:
        own = minima[minima["name"].str.endswith(f"-{side}")] if len(minima) else minima
        values = {column: own[column].iloc[0] for column in settings if len(own)}
        parts = [f"{column.replace('_', ' ')} {value:g}" for column, value in values.items()]
        labels[side] = ", ".join([f"minimum {side}", *parts])
    return labels
