"""Parts of all figures: colours, names, titles and legends."""

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from pathfinder.tables.score_names import METRICS

# Okabe and Ito's palette, safe for colour-blind readers
_COLOURS = {"line": "#D55E00", "polychain": "#0072B2", "bezier": "#009E73"}
_OTHERS = ["#CC79A7", "#E69F00", "#56B4E9", "#000000"]
STYLE: dict[Any, Any] = {
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
_REPAIR = "-repair"  # after the name of a path whose hidden units were repaired
CLIP = 10.0  # nats: far above chance, where the shape of a minimum would no longer show
MINIMA = {"a": "#000000", "b": "#8c8c8c"}
UNITS = {metric: f"{metric} ({unit})" for metric, unit in METRICS.items()}
SPLITS: dict[str, Literal["-", ":", "--"]] = {"train": "-", "validation": ":", "test": "--"}
_LEGEND_COLUMNS = 4
_LETTER = 0.085  # inches, of the ordinary size

_PATHS = {"line": "line", "polychain": "polygonal chain", "bezier": "Bezier curve"}
_UNNAMED = ("pair", "minimum")  # what commands call the two minima, or the one, that they are given
_DIRECTIONS = {  # by the first part of a surface's name, one and two of them
    "filter": ("a filter-normalised random direction", "filter-normalised random directions"),
    "layer": ("a layer-normalised random direction", "layer-normalised random directions"),
    "weight": ("a weight-normalised random direction", "weight-normalised random directions"),
    "none": ("a random direction", "random directions"),
    "trajectory": ("the principal direction of training", "the principal directions of training"),
}


def path_label(name: str) -> str:
    """What to call a path in a legend.

    >>> path_label("bezier"), path_label("aligned-line-repair"), path_label("my-curve")
    ('Bezier curve', 'line, b aligned, REPAIR', 'my-curve')
    """
    aligned = name.startswith(ALIGNED)
    repaired = aligned and name.endswith(_REPAIR)
    own = name.removeprefix(ALIGNED)
    own = own.removesuffix(_REPAIR) if repaired else own
    return ", ".join([_PATHS.get(own, own), *["b aligned"] * aligned, *["REPAIR"] * repaired])


def of_pair(name: str) -> str:
    """` of NAME`, to follow `the minima`; nothing if the pair has no name.

    >>> of_pair("convnet-1"), of_pair("pair")
    (' of convnet-1', '')
    """
    return "" if name in _UNNAMED else f" of {name}"


def surroundings(minima: Sequence[str], surface: str) -> str:
    """Where a profile or surface lies: around which minima, and along which directions, if its name says so.

    >>> surroundings(["digits-a"], "filter-2d")
    'around the minimum digits-a, along filter-normalised random directions'
    >>> surroundings(["digits-a", "digits-b"], "wide")
    'around the minima (wide)'
    """
    one = "the minimum" if minima[0] in _UNNAMED else f"the minimum {minima[0]}"
    found = re.fullmatch(r"(\w+)-([12])d", surface)
    if found and found[1] in _DIRECTIONS:
        along = f", along {_DIRECTIONS[found[1]][int(found[2]) - 1]}"
    else:
        along = f" ({surface})"
    return f"around {one if len(minima) == 1 else 'the minima'}{along}"


def set_title(figure: Figure, text: str) -> None:
    """Write the title of a figure, on as many lines as its width needs."""
    width = int(figure.get_figwidth() / _LETTER)
    figure.suptitle("\n".join(textwrap.wrap(text, width, break_on_hyphens=False)), fontsize=11)


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each path: the same in all figures for known kinds, and for a path and its aligned twin."""
    names = list(names)
    kinds = dict.fromkeys(name.removeprefix(ALIGNED) for name in names)
    others = iter(_OTHERS * (1 + len(kinds) // len(_OTHERS)))
    chosen = {kind: _COLOURS.get(kind) or next(others) for kind in kinds}
    return {name: chosen[name.removeprefix(ALIGNED)] for name in names}


def dashes(name: str) -> str:
    """The line style of a path: dashed if its end b was aligned."""
    return "--" if name.startswith(ALIGNED) else "-"


def legend_below(figure: Figure, handles: Iterable[Artist], labels: Iterable[str]) -> None:
    """Add one legend below all axes, in as many columns as fit, at most four; a label is shown once."""
    entries = dict(zip(labels, handles, strict=True))
    column = 0.55 + _LETTER * max(map(len, entries), default=1)  # inches, with the handle
    rows = math.ceil(len(entries) / min(max(int(figure.get_figwidth() / column), 1), _LEGEND_COLUMNS))
    columns = math.ceil(len(entries) / max(rows, 1))
    figure.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=max(columns, 1))


def groups_of(pairs: pd.Series, groups: dict[str, str]) -> pd.Series:
    """The group of each pair; a pair without a group is its own."""
    return pairs.map(lambda pair: groups.get(pair, pair))


def by_group(table: pd.DataFrame, groups: dict[str, str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each group of pairs, in the order of the table."""
    return by_name(table, groups_of(table["pair"], groups))


def by_name(table: pd.DataFrame, by: str | pd.Series) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each name in a column, in the order of the table."""
    for name, rows in table.groupby(by, sort=False):
        yield str(name), rows
