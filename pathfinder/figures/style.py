"""Parts of all figures: colours, marks, titles and legends."""

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from pathfinder.figures.words import ALIGNED
from pathfinder.tables.score_names import METRICS

# Okabe and Ito's palette, safe for colour-blind readers
_COLOURS = {"line": "#D55E00", "polychain": "#0072B2", "bezier": "#009E73"}
_OTHERS = ["#CC79A7", "#E69F00", "#56B4E9", "#882255", "#999933", "#332288", "#88CCEE", "#DDCC77"]  # and Tol's muted
STYLE: dict[Any, Any] = {  # over matplotlib's defaults, whatever the user's own are
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.7,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.facecolor": "white",  # opaque: black letters can be read on a dark page too
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.07,
    "contour.negative_linestyle": "solid",  # logarithms below 0 are nothing special
    "pdf.fonttype": 42,  # letters stay letters
}
_DARK_INK, _DARK_PAGE, _DARK_PANE = "#e6edf3", "#0d1117", (0.2, 0.22, 0.25, 0.5)
DARK: dict[Any, Any] = {  # over these, for dark pages
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _DARK_INK),
    **dict.fromkeys(("axes.facecolor", "figure.facecolor", "savefig.facecolor"), _DARK_PAGE),
    **{f"axes3d.{axis}axis.panecolor": _DARK_PANE for axis in "xyz"},
    "grid.color": "#30363d",
}
NOTE = "#6e7781"  # can be read on white and on dark pages
CLIP = 10.0  # nats: far above chance, where the shape of a minimum would no longer show
MINIMA = {"a": "#000000", "b": "#8c8c8c"}
UNITS = {metric: f"{metric} ({unit})" for metric, unit in METRICS.items()}
SPLITS: dict[str, Literal["-", ":", "--"]] = {"train": "-", "validation": ":", "test": "--"}  # and no other dashes
GUIDE: dict[str, Any] = {"color": "#8c8c8c", "linewidth": 0.8}
_MARKS = 9  # along a line
_LEGEND_COLUMNS = 4
_LETTER = 0.085  # inches, of the ordinary size
_SMALL = 0.068  # the same, of a note


def set_title(figure: Figure, text: str, notes: Sequence[str] = ()) -> None:
    """Write the title of a figure, on as many lines as its width needs, and below it notes in smaller letters."""
    lines = textwrap.wrap(text, int(figure.get_figwidth() / _LETTER), break_on_hyphens=False)
    small = textwrap.wrap("; ".join(notes), int(figure.get_figwidth() / _SMALL), break_on_hyphens=False)
    title = figure.suptitle("\n".join([*lines, *[" "] * len(small)]), fontsize=11)  # the layout leaves room for it
    if small:
        place: dict[str, Any] = {"xycoords": title, "xytext": (0, 3), "textcoords": "offset points"}
        note = Annotation("\n".join(small), (0.5, 0.0), ha="center", va="bottom", fontsize=9, color=NOTE, **place)
        note.set_in_layout(False)
        figure.add_artist(note)


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each path: the same in all figures for known kinds, and for a path and its aligned twin."""
    names = list(names)
    kinds = dict.fromkeys(name.removeprefix(ALIGNED) for name in names)
    others = iter(_OTHERS * (1 + len(kinds) // len(_OTHERS)))
    chosen = {kind: _COLOURS.get(kind) or next(others) for kind in kinds}
    return {name: chosen[name.removeprefix(ALIGNED)] for name in names}


def marks(name: str, points: int) -> dict[str, Any]:
    """The marks on the line of a path: some open triangles if its end b was aligned."""
    return open_marks("^", points) if name.startswith(ALIGNED) else {}


def open_marks(mark: str, points: int) -> dict[str, Any]:
    """A few open marks on a line of so many points."""
    every = max(1, round(points / _MARKS))
    style = {"markersize": 5.5, "markerfacecolor": "white", "markeredgewidth": 1.2}
    return {"marker": mark, "markevery": (every // 2, every), **style}


def legend_below(figure: Figure, handles: Iterable[Artist], labels: Iterable[str]) -> None:
    """Add one legend below all axes, in as many columns as fit, at most four; a label is shown once."""
    entries = dict(zip(labels, handles, strict=True))
    column = 0.75 + _LETTER * max(map(len, entries), default=1)  # inches, with the handle
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
