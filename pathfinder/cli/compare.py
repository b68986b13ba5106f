"""`pathfinder compare`: the summaries of several runs in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pathfinder.cli.options import Force
from pathfinder.errors import PathfinderError

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = ("barrier", "barrier_low", "barrier_high", "max", "length_ratio")


def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the table to this CSV file.")] = None,
    force: Force = False,
) -> None:
    """Show the summaries of several runs side by side."""
    from pathfinder.cli.summary import show_summary

    show_summary(join_summaries(folders, out, force))
    if out is not None:
        typer.echo(f"table in {out}")


def join_summaries(folders: list[Path], out: Path | None, force: bool = False) -> "pd.DataFrame":
    """The summaries of several runs in one table, the run's folder as its first column; written as CSV to `out`.

    Raises:
        PathfinderError: if a summary cannot be read, or the CSV would replace a file that is no such table.
    """
    import pandas as pd

    from pathfinder.storage import check_not_input, check_writable, replacement_error
    from pathfinder.tables.csv_files import existing_table, read_table, write_table
    from pathfinder.tables.schema import SUMMARY

    tables = []
    for folder in dict.fromkeys(folders):
        file = existing_table(folder, SUMMARY, "`pathfinder run`, `pathfinder connect` or `pathfinder score line`")
        table = read_table(file, SUMMARY, [*SUMMARY.key, *_SHOWN])
        if "run" in table:
            raise PathfinderError(f"table {file} has a column `run` already; give folders of runs.")
        table.insert(0, "run", _escape(folder))
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True)
    if out is not None:
        check_writable(out)
        check_not_input(out, [folder / "summary.csv" for folder in folders])
        if out.exists() and not force and not _is_comparison(out):
            raise replacement_error(out)
        write_table(out, joined)
    return joined


def _is_comparison(path: Path) -> bool:
    """Whether a file is a table that `compare` wrote: summaries, the run as the first column."""
    from pathfinder.tables.csv_files import read_table
    from pathfinder.tables.schema import COMPARISON

    try:
        return list(read_table(path, COMPARISON, [*COMPARISON.key, *_SHOWN]).columns[:1]) == ["run"]
    except PathfinderError:
        return False


def _escape(folder: Path) -> str:
    """The folder as a cell; a spreadsheet would compute one that begins like a formula."""
    return f"./{folder}" if str(folder).startswith(("=", "+", "-", "@")) else str(folder)
