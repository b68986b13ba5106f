"""The results of pieces of work that the folder of a run keeps."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pathfinder.experiment.pieces import CHOICE, Piece
from pathfinder.scoring.settings import ALL, Examples
from pathfinder.storage import StageFile
from pathfinder.storage.resume import read_kept, read_state
from pathfinder.threads import threads

WORK = ".work"  # the folder of results in that of a run


def kept_file(folder: Path, name: str) -> Path:
    """The file in the folder of a run that keeps the result of a piece."""
    return folder / WORK / f"{name.replace(' ', '-')}.pt"


def stage_of(folder: Path, piece: Piece) -> StageFile:
    """What loads and saves the result of a piece."""
    return StageFile(kept_file(folder, piece.name), piece.key, lasting=piece.lasting)


def is_done(folder: Path, piece: Piece) -> bool:
    """Whether a piece was done whole, as what would do it now would."""
    with threads(piece.threads):
        state = stage_of(folder, piece).load()
    return state is not None and is_finished(piece, state)


def is_finished(piece: Piece, state: Mapping[str, Any]) -> bool:
    """Whether a state that is kept is the whole result of a piece."""
    whole = not piece.points or len(state["points"]) == piece.points
    return state.get("finished", whole)


def kept_result(folder: Path, name: str) -> dict[str, Any]:
    """The result of a piece that was done in this run."""
    return read_state(kept_file(folder, name))


def chosen_examples(folder: Path, path: str, wanted: Collection[str]) -> Examples:
    """How many examples were chosen for a path; all if that was not done, or its file is damaged.

    Args:
        folder: of the run.
        path: its name.
        wanted: what it chooses, `examples` and `batch_norm_examples`; the folder may hold more, from other settings.
    """
    kept = read_kept(kept_file(folder, f"{CHOICE} {path}")) if wanted else None
    if kept is None:
        return ALL
    result = kept["state"]
    return Examples(*(result.get(name) if name in wanted else None for name in ("examples", "batch_norm_examples")))
