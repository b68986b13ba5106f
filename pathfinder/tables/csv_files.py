"""CSV files, written and read exactly."""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pathfinder.errors import PathfinderError, list_names
from pathfinder.storage import existing_file, write_text
from pathfinder.tables.schema import COMPARISON, TABLES
from pathfinder.tables.table import Column, Table

_COLUMNS = [
    column for table in (*TABLES.values(), COMPARISON) for column in table.columns if isinstance(column, Column)
]
_NAMES = frozenset(column.name for column in _COLUMNS if column.kind == "name")
_TEXT = _NAMES | {column.name for column in _COLUMNS if column.kind == "text"}
IN_FILE_NAMES = tuple(dict.fromkeys(column.name for column in _COLUMNS if column.in_file_names))

# What a config takes as a name, and what is made of an import path, `my_nets:Net` or `_nets.Net`
_FILE_NAME = re.compile(r"\w[\w.+:-]*")
_LONGEST = 200  # letters in a name

# From pandas 3.1 on floats are always read exactly, and the option that says so is deprecated
_EXACT: dict[str, Any] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a CSV file whole; floats in the shortest form that reads back equal."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def existing_table(folder: str | Path, table: Table, how: str) -> Path:
    """The file of a table in the folder of a run.

    Args:
        folder: of the run.
        table: which one.
        how: what makes it, as in "make one with ...".

    Raises:
        PathfinderError: if the folder does not exist, or lacks the table.
    """
    folder = existing_folder(folder)
    path = folder / f"{table.name}.csv"
    if not path.exists():
        raise PathfinderError(f"{folder} has no table {path.name}; make one with {how}.")
    return path


def existing_folder(folder: str | Path) -> Path:
    """The folder of a run.

    Raises:
        PathfinderError: if it does not exist, or is a file.
    """
    if not Path(folder).is_dir():
        raise PathfinderError(f"{folder} is not a folder; give the folder of a run, with its CSV files.")
    return Path(folder)


def read_table(path: str | Path, table: Table | None = None, needed: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV file exactly. Names stay text, whatever they look like: a curve may be called `NA` or `1e5`.

    Args:
        path: the file.
        table: what the file must hold: the columns this table needs, cells of their types, and no row twice.
        needed: further columns that must be there.

    Raises:
        PathfinderError: if the file is missing or damaged, or holds another table.
    """
    file = existing_file(path, "table")
    try:
        frame = pd.read_csv(
            file,
            dtype=dict.fromkeys(_TEXT, str),
            keep_default_na=False,
            na_values=[""],
            low_memory=False,  # one type per column, whatever its length
            **_EXACT,
        )
    except (ValueError, OverflowError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PathfinderError(f"table {file} cannot be read ({reason}); run the experiment again.") from error
    needed = [*(table.needed if table else ()), *needed]
    if missing := [column for column in dict.fromkeys(needed) if column not in frame]:
        raise PathfinderError(f"table {file} lacks the columns {list_names(missing)}; run the experiment again.")
    damage = _damage(frame)
    if damage is None and table is not None:
        damage = _mismatch(frame, table)
    if damage is not None:
        raise PathfinderError(f"table {file} is damaged: {damage}; run the experiment again.")
    return frame


def _damage(frame: pd.DataFrame) -> str | None:
    """What no table that was written here can hold."""
    if not isinstance(frame.index, pd.RangeIndex):
        return "rows have more cells than the header"
    for name in (name for name in frame if name in _NAMES):
        odd = [cell for cell in frame[name].dropna().unique() if not cell.isprintable() or len(cell) > _LONGEST]
        if odd:
            return f"`{name}` holds {odd[0][:40]!r}, which is not a name"
    return None


def _mismatch(frame: pd.DataFrame, table: Table) -> str | None:
    """The first cell that this table cannot hold, or a row that is there twice."""
    columns = {name: column for name in frame if (column := table.column(name))} if len(frame) else {}
    for name, column in columns.items():
        cells = frame[name]
        if column.kind in ("name", "text"):
            if column.kind == "name" and not column.empty and cells.isna().any():
                return f"`{name}` is missing in row {int(cells.isna().argmax()) + 1}"
        elif column.kind == "truth":
            if not cells.isin([True, False] + [math.nan] * column.empty).all():
                return f"`{name}` must be True or False in every row"
        elif not pd.api.types.is_numeric_dtype(cells):
            odd = next((cell for cell in cells if isinstance(cell, str)), cells.iloc[0])
            return f"`{name}` must hold numbers, got {str(odd)[:40]!r}"
    key = [name for name in table.key if name in frame]
    whole = all(name in key or ((column := table.column(name)) and column.optional) for name in table.key)
    if whole and (repeated := frame.duplicated(key)).any():
        return f"row {int(repeated.argmax()) + 1} is there twice, by {list_names(key)}"
    return None


def check_file_names(table: pd.DataFrame, path: str | Path, columns: Sequence[str] = IN_FILE_NAMES) -> None:
    """Check the cells of a table that become parts of file names: a table may come from anywhere.

    Raises:
        PathfinderError: if one could lead elsewhere, as `../x` does.
    """
    for column in columns:
        for name in table[column].dropna().unique() if column in table else ():
            if not _FILE_NAME.fullmatch(name):
                raise PathfinderError(
                    f"`{column}` in table {path} must be a name of letters, digits and . _ + : -, got {name[:40]!r}; "
                    "files are named after it."
                )
