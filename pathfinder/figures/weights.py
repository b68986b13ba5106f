"""Figures of weights: the line between minima, and the distribution and norm of their weights."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from pathfinder.figures.panels import loss_and_error, loss_limits
from pathfinder.figures.style import CLIP, MINIMA, by_name, groups_of, legend_below, set_title
from pathfinder.figures.titles import SETTINGS, setting_words
from pathfinder.figures.words import batch_norm_notes

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
    lines: list[Artist] = []
    entries: dict[str, Artist] = {}
    for column, group in zip(grid.T, groups, strict=True):
        axes, own = dict(zip(rows, column, strict=True)), tables.of(group)
        settings = _settings(own.minima)
        column[0].set_title("\n".join([group, *(f"{side}: {words}" for side, words in settings.items())]))
        if shown["line"]:
            lines += loss_and_error(axes["line"], own.lines, "t", limits)
        for name, bins in by_name(own.weights, "name"):
            side = next((side for side in MINIMA if name.endswith(f"-{side}")), "")  # one minimum alone has no side
            inner = bins.iloc[1:-1]  # the first and last bin hold the few largest weights
            style = {"color": MINIMA.get(side, "black"), "label": f"minimum {side}".strip(), "linewidth": 1.4}
            axes["weights"].stairs(inner["density"], [*inner["low"], inner["high"].iloc[-1]], **style)
        axes["weights"].set(xlabel="weight", yscale="log")
        axes["weights"].locator_params(axis="x", nbins=5)
        for _, fits in by_name(own.training, "pair"):
            for side, fit in by_name(fits, "fit"):
                mark = "o" if len(fit) == 1 else None
                axes["norm"].plot(fit["epoch"], fit["norm"], color=MINIMA[side], linewidth=1.6, marker=mark)
                axes["norm"].set(xlabel="epoch")
        sides = dict(zip(*reversed(axes["weights"].get_legend_handles_labels()), strict=True))  # one for all pairs
        entries |= sides
    legend_below(figure, [*lines, *entries.values()], [*(str(line.get_label()) for line in lines), *entries])
    grid[rows.index("weights"), 0].set_ylabel("density of weights")
    if shown["norm"]:
        grid[-1, 0].set_ylabel("norm of all weights")
    parts = {"line": "line between them", "weights": "weights", "norm": "norm by epoch"}
    what = ", ".join(parts[name] for name in rows)
    set_title(figure, f"Minima a and b of each group: {what}", batch_norm_notes(tables.lines) if shown["line"] else [])
    return figure


def _settings(minima: pd.DataFrame) -> dict[str, str]:
    """The settings in which the minima a and b of a group differ, for each of them."""
    words = {}
    differ = [column for column in SETTINGS if column in minima and minima[column].nunique() > 1]
    for side in MINIMA if len(minima) else ():
        own = minima[minima["name"].str.endswith(f"-{side}")]
        found = [(column, own[column].dropna()) for column in differ]
        parts = [setting_words(column, values.iloc[0]) for column, values in found if len(values)]
        words |= {side: ", ".join(parts)} if parts else {}
    return words
