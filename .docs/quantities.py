"""Quantities of committed runs, and how a text shows them: what the expressions in .docs/texts are made of."""

import json
from collections.abc import Callable, Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pathfinder.tables.csv_files import read_table

DEFAULTS = {"split": "train", "metric": "loss"}  # of the rows that a lookup takes if it does not name them
KEYS = ("pair", "name", "path", "network")  # the first of these that tells the rows apart is their index
OPEN, CLOSE = "\ue000", "\ue001"  # around what is computed, until it is checked that nothing else holds a number


def _mark(text: object) -> str:
    """A text whose digits come from a table or from the record of a run."""
    return f"{OPEN}{text}{CLOSE}"


class Run:
    """A folder of results/reference; each of its tables is a function: `run.summary("barrier", pair="a")`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getattr__(self, table: str) -> Callable[..., pd.Series]:
        if table.startswith("_"):
            raise AttributeError(table)
        return partial(self._column, table)

    def _column(self, table: str, column: str, **where: Any) -> pd.Series:
        """A column of the rows that hold these values in other columns; a list holds one of several values."""
        given = ", ".join([repr(column), *(f"{key}={value!r}" for key, value in where.items())])
        asked = f"{self._folder.name}.{table}({given})"
        rows = _table(self._folder / f"{table}.csv")
        if unknown := sorted({column, *where}.difference(rows.columns)):
            raise LookupError(f"{asked}: no column {', '.join(unknown)}; the table has {', '.join(rows.columns)}")
        for key, value in ({key: DEFAULTS[key] for key in DEFAULTS if key in rows.columns} | where).items():
            wanted = value if isinstance(value, list) else [value]
            held = [_equal(rows[key], one) for one in wanted]
            if not all(one.any() for one in held):
                raise LookupError(f"{asked}: no row with {key}={value!r}; there are {sorted(set(rows[key]), key=str)}")
            rows = rows[np.logical_or.reduce(held)]
        if rows[column].isna().any():
            raise LookupError(f"{asked}: an empty cell")
        index = next((key for key in KEYS if key in rows.columns and key != column and rows[key].is_unique), None)
        return (rows.set_index(index) if index else rows)[column].rename(asked)

    def setting(self, *keys: str | int) -> str:
        """A setting of the run's config by its keys, an entry of a list by its name."""
        record = self._record()
        value = record["config"] | {key: record[key] for key in ("scored", "surfaces", "curvature") if key in record}
        for key in keys:
            if isinstance(value, list) and isinstance(key, str):
                value = {entry.get("name") or entry.get("along") or entry.get("kind"): entry for entry in value}
            try:
                value = value[key]
            except (KeyError, IndexError, TypeError):
                raise LookupError(f"{self._folder.name}.setting{keys}: no {key!r} in {value}") from None
        return _mark(f"{value:,}" if isinstance(value, int) else value)

    def seconds(self) -> np.floating:
        """The time of all stages."""
        return np.float64(sum(self._record()["seconds"].values()))

    def _record(self) -> dict[str, Any]:
        return json.loads((self._folder / "run.json").read_text("utf-8"))


@cache
def _table(file: Path) -> pd.DataFrame:
    return read_table(file if file.is_file() else file.with_name(file.name.replace("_", "-")))


def _equal(column: pd.Series, value: Any) -> pd.Series:
    """Coordinates are equal up to rounding: a grid has 0.30000000000000004 for 0.3."""
    if pd.api.types.is_float_dtype(column):
        return pd.Series(np.isclose(column, value, atol=1e-9), column.index)
    return column == value


# Quantities that more than one sentence is made of


def ratio(run: Run, column: str, path: str, other: str, **where: Any) -> pd.Series:
    """A column of the summary for one path, divided by that for another one between the same ends."""
    return run.summary(column, path=path, **where) / run.summary(column, path=other, **where)


def above_worse_end(run: Run, **where: Any) -> pd.Series:
    """How far the largest value of a path lies above the worse of its ends."""
    summary = partial(run.summary, **where)
    return summary("max") - worse(summary("start"), summary("end"))


def worse(a: pd.Series, b: pd.Series) -> pd.Series:
    """The larger of two values, row by row."""
    return a.where(a > b, b)


def rescored_barrier(run: Run, path: str) -> np.floating:
    """The barrier of the train loss at the points that were scored again on all examples."""
    t, loss = run.rescored("t", path=path), run.rescored("train_loss", path=path)
    start, end = (run.rescored("train_loss", path=["ends", path], t=t).iloc[0] for t in (0, 1))
    return (loss - (1 - t) * start - t * end).max()


def share_below(run: Run, level: float, surface: str, names: Sequence[str]) -> pd.Series:
    """The share of a surface's points, in percent, whose train loss is below a level."""
    losses = (run.surfaces("train_loss", surface=surface, name=name) for name in names)
    return pd.Series([100 * (loss < level).mean() for loss in losses], names)


def half_width(run: Run, level: float, surface: str, names: Sequence[str]) -> pd.Series:
    """Half the distance between the places on both sides of 0 where a profile of the train loss reaches a level."""
    return pd.Series([_half_width(run, level, surface=surface, name=name) for name in names], names)


def _half_width(run: Run, level: float, **where: str) -> float:
    x, loss = (run.surfaces(column, **where).to_numpy() for column in ("x", "train_loss"))
    centre = int(np.argmin(abs(x)))
    right, left = _crossing(x[centre:], loss[centre:], level), _crossing(x[centre::-1], loss[centre::-1], level)
    return (right - left) / 2


def _crossing(x: np.ndarray, loss: np.ndarray, level: float) -> float:
    i = int(np.argmax(loss > level))  # the first one above
    if i == 0:
        raise LookupError(f"the profile does not cross {level} between its centre and its end")
    return float(np.interp(level, loss[i - 1 : i + 1], x[i - 1 : i + 1]))


def claim(holds: bool | np.bool_, text: str) -> str:
    """A text without numbers, if the tables bear it out."""
    if not isinstance(holds, bool | np.bool_) or not holds:
        raise ValueError(f"the tables do not say: {text}")
    return text


# How a text shows numbers: `| span(2)`


def fixed(value: Any, digits: int = 0) -> str:
    """One value: 1.62."""
    values = _values(value)
    if len(values) != 1:
        raise LookupError(f"one value needed, got {values} of {_origin(value)}")
    return _shown(values[0], digits)


def common(value: Any, digits: int = 0) -> str:
    """The one value that all rows share."""
    return fixed(np.float64(_values(value)[0]) if len(set(_values(value))) == 1 else value, digits)


def nats(value: Any) -> str:
    """One value to three digits, at most four of them decimals: 1.76, 0.411, 0.0074."""
    size = abs(_values(value)[0])
    return fixed(value, int(np.clip(2 - np.floor(np.log10(size)), 2, 4)) if size else 4)


def listed(value: Any, digits: int = 0) -> str:
    """Every value: 2.16, 2.36 and 2.37."""
    *first, last = [_shown(number, digits) for number in _values(value)]
    return f"{', '.join(first)} and {last}" if first else last


def span(value: Any, digits: int = 0, sign: str = "") -> str:
    """The smallest to the largest value: 1.62 to 1.75."""
    values = _values(value)
    return " to ".join(dict.fromkeys(_shown(number, digits, sign) for number in (min(values), max(values))))


def mean_std(value: Any, digits: int = 0) -> str:
    """Mean and standard deviation: 1.68 ± 0.07."""
    values = _values(value)
    return f"{_shown(float(np.mean(values)), digits)} ± {_shown(float(np.std(values, ddof=1)), digits)}"


def at_most(value: Any, digits: int = 0) -> str:
    """The smallest number of so many digits that no value exceeds."""
    return _shown(max(_values(value)), digits, rounding=ROUND_CEILING)


def percent(value: Any) -> Any:
    """A share as a percentage."""
    return 100 * value


def _values(value: Any) -> list[float]:
    if not isinstance(value, pd.Series | np.generic):
        raise TypeError(f"{value!r} does not come from a table")
    values = np.atleast_1d(np.asarray(value, dtype=float)).tolist()
    if not values or not np.isfinite(values).all():
        raise LookupError(f"rows that do not belong together: {values} of {_origin(value)}")
    return values


def _shown(number: float, digits: int, sign: str = "", rounding: str = ROUND_HALF_UP) -> str:
    """A number as a reader rounds what the table shows: 44.15 to 44.2, although the nearest float is below it."""
    rounded = Decimal(repr(round(number, 12))).quantize(Decimal(1).scaleb(-digits), rounding)
    return _mark(f"{rounded:{sign},f}")


def _origin(value: Any) -> str:
    return getattr(value, "name", None) or "what was computed"


QUANTITIES = (ratio, above_worse_end, worse, rescored_barrier, share_below, half_width, claim)
FORMATS = (fixed, common, nats, listed, span, mean_std, at_most, percent)
