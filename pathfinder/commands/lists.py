"""Compare runs, and list what there is."""

from pathlib import Path

import pandas as pd

from pathfinder.datasets import DATASETS
from pathfinder.geometry import Curve, kinds
from pathfinder.lookup import unknown
from pathfinder.models import MODELS
from pathfinder.tables import read_table, write_table


def compare(folders: list[Path], out: Path | None) -> pd.DataFrame:
    """The summaries of several runs in one table, each run's folder as its first column."""
    tables = []
    for folder in dict.fromkeys(folders):
        table = read_table(folder / "summary.csv", ["pair", "path", "split", "metric", "barrier"])
        table.insert(0, "run", str(folder))
        tables.append(table)
    joined = pd.concat(tables, ignore_index=True)
    if out is not None:
        write_table(out, joined)
    return joined


def names(what: str) -> dict[str, str]:
    """The models, data sets or curves there are, each with a line that explains it."""
    curves = {kind: (cls.__doc__ or "").splitlines()[0] for kind, cls in kinds(Curve).items()}
    lists = {"models": MODELS, "data": DATASETS, "curves": curves}
    if what not in lists:
        raise unknown("list", what, lists)
    return lists[what]
