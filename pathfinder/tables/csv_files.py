"""CSV files, written and read exactly."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pathfinder.errors import PathfinderError, listed
from pathfinder.storage import existing_file, write_text

# Columns that hold names, not numbers
_TEXT = ("pair", "path", "group", "name", "surface", "plane", "fit", "along", "split", "metric", "a", "b", "method")


_TEXT += ("quantity",)


# Floats are read back to the last bit: by default from pandas 3.1 on, which deprecates the argument
_EXACT: dict[str, Any] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)


FILED = ("pair", "group", "plane", "surface", "along")  # of them, those that figures are called after


# What a config takes as a name, and what is made of an import path, `my_nets:Net` or `_nets.Net`
_FILE_NAME = re.compile(r"\w[\w.+:-]*")


_LONGEST = 200  # letters in a name


_MEASURED = ("_loss", "_error", "_se", "_barrier")


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a CSV whole; floats in the shortest form that reads back equal."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_table(
    path: str | Path, columns: Sequence[str] = (), empty: Sequence[str] = (), row: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a CSV exactly. Names are text, whatever they look like: a curve may be called `NA` or `1e5`.

    Args:
        path: the file.
        columns: those it must have, names in every row and numbers where there are numbers.
        empty: those of them that may lack a name.
        row: columns that together tell rows apart.

    Raises:
        PathfinderError: if the file is missing, no table, another one or a damaged one.
    """
    file = existing_file(path, "table")
    try:
        table = pd.read_csv(
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
    if missing := [column for column in columns if column not in table]:
        raise PathfinderError(f"table {file} lacks the columns {listed(missing)}; run the experiment again.")
    if (damage := _damage(table, columns, empty, row)) is not None:
        raise PathfinderError(f"table {file} is damaged: {damage}; run the experiment again.")
    return table


def _damage(table: pd.DataFrame, columns: Sequence[str], empty: Sequence[str], row: Sequence[str]) -> str | None:
    """What cannot be in a table that was written here."""
    if not isinstance(table.index, pd.RangeIndex):
        return "rows have more cells than the header"
    for column in table if len(table) else ():
        cells = table[column]
        if column in _TEXT:
            if column in columns and column not in empty and cells.isna().any():
                return f"`{column}` is missing in row {int(cells.isna().argmax()) + 1}"
            odd = [cell for cell in cells.dropna().unique() if not cell.isprintable() or len(cell) > _LONGEST]
            if odd:
                return f"`{column}` holds {odd[0][:40]!r}, which is no name"
        elif column == "converged":
            if not pd.api.types.is_bool_dtype(cells):
                return "`converged` must be True or False in every row"
        elif (column in columns or column.endswith(_MEASURED)) and not pd.api.types.is_numeric_dtype(cells):
            odd = next((cell for cell in cells if isinstance(cell, str)), cells.iloc[0])
            return f"`{column}` must hold numbers, got {str(odd)[:40]!r}"
    if row and table.duplicated(list(row)).any():
        return f"row {int(table.duplicated(list(row)).argmax()) + 1} is there twice, by {listed(row)}"
    return None


def check_file_names(table: pd.DataFrame, path: str | Path, columns: Sequence[str] = FILED) -> None:
    """Check names in a table of which names of files are made: a table may come from anywhere.

    Raises:
        PathfinderError: if one could lead elsewhere, as `../x` does.
    """
    for column in columns:
        for name in table[column].dropna().unique() if column in table else ():
            if not _FILE_NAME.fullmatch(name):
                raise PathfinderError(
                    f"`{column}` in table {path} must be a name of letters, digits and . _ + : -, got {name[:40]!r}; "
                    "files are called after it."
                )
