"""Figures of a race: how flat paths are after how many passes over the data, and who reaches the target first."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from pathfinder.figures.style import GUIDE, NOTE, by_name, set_title
from pathfinder.figures.ticks import set_loss_axis
from pathfinder.figures.words import batch_norm_notes, of_pair, path_label

_BEST = ("#009E73", "#0072B2", "#E69F00", "#CC79A7")  # of the first methods; Okabe and Ito's, as those of paths
_REFERENCE, _OTHER = "#000000", "#b5b5b5"
_ROW = 0.27  # inches of a method


def race_figures(race: pd.DataFrame, methods: pd.DataFrame) -> dict[str, Figure]:
    """Largest loss against passes, and the passes to the target of each method, a figure for each group of pairs."""
    known = dict(by_name(methods, "group"))
    return {f"race-{group}": _figure(rows, known[group], group) for group, rows in by_name(race, "group")}


def _figure(race: pd.DataFrame, methods: pd.DataFrame, group: str) -> Figure:
    ranked = methods.sort_values("passes", na_position="last", kind="stable")
    reference = methods.loc[methods["reference"], "method"]
    names = [str(name) for name in ranked["method"]]
    others = [name for name in names if name not in {*reference}]
    colours = dict(zip(others, _BEST, strict=False)) | dict.fromkeys(reference, _REFERENCE)
    figure = Figure(figsize=(11, max(4.0, 1.6 + _ROW * len(names))))
    left, right = figure.subplots(1, 2, width_ratios=[1.2, 1])
    budgets = sorted(race[race["method"].isin(reference)].groupby("epochs")["passes"].median())
    _draw_losses(left, race, names[::-1], colours, budgets)
    _draw_passes(right, ranked, float(race["passes"].max()), colours, budgets)
    pairs = race["pair"].nunique()
    several = [f"median of {pairs} pairs, bars from the smallest to the largest"] if pairs > 1 else []
    set_title(figure, f"The race to a flat path between minima{of_pair(group)}", [*several, *batch_norm_notes(race)])
    return figure


def _draw_losses(ax: Axes, race: pd.DataFrame, names: list[str], colours: dict[str, str], budgets: list[float]) -> None:
    """The median largest loss of each method at each budget; those that are first lie on top."""
    target, least = race["target"].iloc[0], race["passes"][race["passes"] > 0].min() / 2
    for name in names:
        own = race[race["method"] == name].groupby("epochs")[["passes", "max"]].median()
        style: dict[str, Any] = {"color": colours.get(name, _OTHER), "marker": "o", "markersize": 4}
        style["linewidth"] = 1.8 if name in colours else 1.0
        ax.plot(own["passes"].clip(least), own["max"], **style, label=name)
    ax.axhline(target, **GUIDE)
    ax.annotate("target", (0, target), (2, 3), xycoords=("axes fraction", "data"), textcoords="offset points")
    ax.set_xscale("log")
    _mark_budgets(ax, {0.0: least, **dict(zip(budgets, budgets, strict=True))})
    set_loss_axis(ax, race["max"])
    ax.set(xlabel="passes over the training data", ylabel="largest train loss (nats)")
    ax.set_title("after each budget, colours as on the right", loc="left")


def _draw_passes(ax: Axes, ranked: pd.DataFrame, most: float, colours: dict[str, str], budgets: list[float]) -> None:
    """The passes to the target of each method, the fewest on top."""
    edge = 2.2 * most
    for i, (_, row) in enumerate(ranked.iterrows()):
        colour = colours.get(str(row["method"]), _OTHER)
        if not np.isnan(row["passes_low"]):
            high = edge if np.isnan(row["passes_high"]) else row["passes_high"]
            ax.plot([row["passes_low"], high], [i, i], color=colour, linewidth=2, solid_capstyle="butt")
        if np.isnan(row["passes"]):
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            ax.text(edge, i, "not reached", va="center", ha="right", color=NOTE, fontsize=9, bbox=box)
        else:
            ax.plot(row["passes"], i, "o", color=colour, markersize=6)
    ax.set_yticks(range(len(ranked)), [path_label(str(name)) for name in ranked["method"]], fontsize=9)
    ax.set_ylim(len(ranked) - 0.4, -0.6)
    ax.set_xscale("symlog", linthresh=budgets[0])
    ax.set_xlim(-budgets[0] / 4, edge)
    _mark_budgets(ax, {0.0: 0.0, **dict(zip(budgets, budgets, strict=True))})
    ax.set_xlabel("passes to the target")
    ax.set_title("who is there first", loc="left")


def _mark_budgets(ax: Axes, places: dict[float, float]) -> None:
    """Ticks at no pass, and at the passes of each budget."""
    ax.set_xticks(list(places.values()), [f"{budget:g}" for budget in places])
    ax.xaxis.set_minor_locator(NullLocator())
