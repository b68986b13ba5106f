"""The summary of a run on the terminal."""

import sys

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

_CAPTION = "A barrier is the largest of noisy means: too high where a path is flat. Its interval allows for that."


def show(summary: pd.DataFrame) -> None:
    """The summary in the few columns a reader looks at first; all of them are in summary.csv."""
    table = Table(box=None, pad_edge=False, caption=_CAPTION, caption_justify="left")
    leading = [column for column in ("run", "pair", "path") if column in summary]
    for column in leading:
        table.add_column(column)
    for column in ("train barrier", "95 % interval", "train loss max", "test error max", "length ratio"):
        table.add_column(column, justify="right")
    for key, rows in summary.groupby(leading, sort=False):
        cell = rows.set_index(["split", "metric"])
        of = lambda split, metric, column, cell=cell: (  # noqa: E731
            cell.loc[(split, metric), column] if (split, metric) in cell.index else float("nan")
        )
        interval = f"{of('train', 'loss', 'barrier_low'):.3g} to {of('train', 'loss', 'barrier_high'):.3g}"
        table.add_row(
            *(Text(str(one)) for one in key),  # a name is no markup
            f"{of('train', 'loss', 'barrier'):.4g}", interval, f"{of('train', 'loss', 'max'):.4g}",
            f"{of('test', 'error', 'max'):.2f} %", f"{rows['length_ratio'].iloc[0]:.3f}",
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 120).print(table)
