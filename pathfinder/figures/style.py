"""What all figures share: colours, units, names of axes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

# Okabe and Ito's palette, safe for colour-blind readers
_KNOWN = {"line": "#D55E00", "polychain": "#0072B2", "bezier": "#009E73"}
_OTHERS = ["#CC79A7", "#E69F00", "#56B4E9", "#000000"]
STYLE = {
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.dpi": 150,
    "figure.constrained_layout.use": True,
}
ALIGNED = "aligned-"  # before the name of a path whose end b was aligned to a
CLIP = 10.0  # nats: far beyond chance, where the shape of a valley would no longer show
MINIMA = {"a": "#000000", "b": "#8c8c8c"}
UNITS = {"loss": "loss (nats)", "error": "error (%)"}
_COLUMNS = 4  # of a legend
SPLITS = {"train": "-", "validation": ":", "test": "--"}


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each path: its own where it is known, so that figures agree; an aligned path has its twin's."""
    names = list(names)
    kinds = dict.fromkeys(name.removeprefix(ALIGNED) for name in names)
    others = iter(_OTHERS * (1 + len(kinds) // len(_OTHERS)))
    chosen = {kind: _KNOWN.get(kind) or next(others) for kind in kinds}
    return {name: chosen[name.removeprefix(ALIGNED)] for name in names}


def dashes(name: str) -> str:
    """The line style of a path: dashed where it leads to an aligned minimum."""
    return "--" if name.startswith(ALIGNED) else "-"


def legend_below(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    """A legend under all axes, of as many columns as its labels leave room for, at most four."""
    column = 0.55 + 0.085 * max(map(len, labels), default=1)  # inches: a handle, and letters of the ordinary size
    rows = math.ceil(len(labels) / min(max(int(figure.get_figwidth() / column), 1), _COLUMNS))
    figure.legend(handles, labels, loc="outside lower center", ncols=math.ceil(len(labels) / max(rows, 1)))


def group_of(pairs: pd.Series, groups: dict[str, str]) -> pd.Series:
    """The group of each pair; a pair of no group is one of its own."""
    return pairs.map(lambda pair: groups.get(pair, pair))


def by_group(table: pd.DataFrame, groups: dict[str, str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each group of pairs, in the order they come."""
    for group, rows in table.groupby(group_of(table["pair"], groups), sort=False):
        yield str(group), rows
