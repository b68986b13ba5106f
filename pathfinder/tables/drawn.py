"""Which figures a run has tables for; nothing here draws, so whoever plans the drawing need not import matplotlib."""

import re
from collections.abc import Collection
from pathlib import Path

from pathfinder.tables.csv_files import existing_folder
from pathfinder.tables.schema import BARRIERS, CURVATURE, PATHS, PLANES, RACE, SURFACES, TRAINING, WEIGHTS
from pathfinder.tables.table import FIGURES

KINDS = {  # of figures, and the tables that one of each needs
    "paths": (PATHS,),
    "planes": (PLANES,),
    "training": (TRAINING,),
    "race": (RACE,),
    "barriers": (BARRIERS,),
    "weights": (WEIGHTS,),
    "landscapes": (SURFACES, CURVATURE),
}
_OF_FEW_PATHS = ("paths", "training", "weights")  # a race has too many
_OURS = re.compile(rf"({'|'.join(FIGURES)})-\w[\w.+:-]*|weights(-\d+)?")  # names of figures, before .png


def kinds_in(folder: str | Path) -> list[str]:
    """The kinds of figures for which a run has tables."""
    folder = existing_folder(folder)
    found = [kind for kind, tables in KINDS.items() if any((folder / f"{one.name}.csv").exists() for one in tables)]
    return [kind for kind in found if "race" not in found or kind not in _OF_FEW_PATHS]


def remove_others(folder: Path, drawn: Collection[Path]) -> None:
    """Remove the figures of a run that were drawn from tables it no longer has.

    Args:
        folder: of the run.
        drawn: the files that it has tables for.
    """
    if not (folder / "run.json").is_file():  # the folder may belong to somebody else
        return
    for path in {path for suffix in ("png", "pdf") for path in (folder / "figures").glob(f"*.{suffix}")} - {*drawn}:
        if _OURS.fullmatch(path.stem) and path.is_file() and not path.is_symlink():
            path.unlink()
