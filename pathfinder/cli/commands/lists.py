"""Compare runs, and list what there is."""

from pathlib import Path

import pandas as pd

from pathfinder.data.load import DATASETS
from pathfinder.errors import PathfinderError, unknown
from pathfinder.geometry.base import kinds
from pathfinder.geometry.curves import Curve
from pathfinder.models.build import MODELS
from pathfinder.storage import can_be_written, not_an_input, replaces
from pathfinder.tables.csv_files import read_table, write_table
from pathfinder.tables.summary import KEYS

_SHOWN = ("barrier", "barrier_low", "barrier_high", "max", "length_ratio")


def compare(folders: list[Path], out: Path | None, force: bool = False) -> pd.DataFrame:
    """The summaries of several runs in one table, each run's folder as its first column; as a CSV too, if asked for.

    Raises:
        PathfinderError: if a summary cannot be read, or the CSV would replace a file that is no such table.
    """
    tables = []
    for folder in dict.fromkeys(folders):
        table = read_table(folder / "summary.csv", [*KEYS, *_SHOWN], row=KEYS)
        if "run" in table:
            raise PathfinderError(f"table {folder / 'summary.csv'} has a column `run` already; give folders of runs.")
        table.insert(0, "run", _called(folder))
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True)
    if out is not None:
        can_be_written(out)
        not_an_input(out, [folder / "summary.csv" for folder in folders])
        if out.exists() and not force and not _is_comparison(out):
            raise replaces(out)
        write_table(out, joined)
    return joined


def _is_comparison(path: Path) -> bool:
    """Whether a file is a table that `compare` wrote: a summary with the runs before it."""
    try:
        return list(read_table(path, [*KEYS, *_SHOWN]).columns[:1]) == ["run"]
    except PathfinderError:
        return False


def _called(folder: Path) -> str:
    """The folder as a cell; a spreadsheet would compute one that begins like a formula."""
    return f"./{folder}" if str(folder).startswith(("=", "+", "-", "@")) else str(folder)


def names(what: str) -> dict[str, str]:
    """The models, data sets or curves there are, each with a line that explains it."""
    curves = {kind: (cls.__doc__ or "").splitlines()[0] for kind, cls in kinds(Curve).items()}
    lists = {"models": MODELS, "data": DATASETS, "curves": curves}
    if what not in lists:
        raise unknown("list", what, lists)
    return lists[what]
