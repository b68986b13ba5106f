"""What a worker of a Dask cluster does: a process that has loaded the data once, and does one piece at a time."""

import pickle
import platform
import time
import warnings
from contextlib import nullcontext
from functools import lru_cache
from threading import Lock
from typing import Any

import torch
from distributed import get_worker

from pathfinder.compute import find_device, reproducible
from pathfinder.errors import FailedWorkError, PathfinderError, PathfinderWarning
from pathfinder.experiment.engines import Done, Failed, do
from pathfinder.experiment.pieces import Piece
from pathfinder.storage.keys import versions

TOPIC = "pathfinder"  # of the messages of workers about their progress
_OFTEN = 0.5  # seconds between two messages
_ALONE = Lock()  # pieces share the networks of a process, and a worker of the user's may have several threads


def prepare(recipe: bytes) -> None:
    """Load what every piece needs."""
    from pathfinder.experiment import work  # noqa: F401

    _place(recipe)


def do_piece(
    recipe: bytes, piece: Piece, needs: list[tuple[Done | Failed | None, list[str]]], deterministic: bool
) -> tuple[Done | Failed | None, list[str]]:
    """Do a piece on a worker, unless one that it needs was not done; the notes it gave come with the outcome.

    `deterministic` says that the run asks torch for deterministic algorithms.
    """
    if not all(isinstance(outcome, Done) for outcome, _ in needs):
        return None, []
    worker, sent = get_worker(), 0.0

    def tell(done: int, total: int) -> None:
        nonlocal sent
        if time.monotonic() - sent >= _OFTEN or done == total:
            sent = time.monotonic()
            worker.log_event(TOPIC, (piece.name, done, total))

    with _ALONE, reproducible() if deterministic else nullcontext(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", PathfinderWarning)
        try:
            place = _place(recipe)
            _choose_gpu(place, worker.name)
            outcome: Done | Failed = do(piece, place, tell)
        except FailedWorkError as error:
            outcome = Failed(piece, FailedWorkError(str(error)))
    return outcome, [str(one.message) for one in said if issubclass(one.category, PathfinderWarning)]


@lru_cache(1)
def _place(recipe: bytes) -> Any:
    """The place of this worker: the data are loaded once.

    Raises:
        PathfinderError: if the worker has another pathfinder or torch than the run.
    """
    made_with, place = pickle.loads(recipe)
    if made_with != versions():
        raise PathfinderError(
            f"a worker on {platform.node()} has another version of pathfinder or torch than the run; install the same, "
            "restart the workers, and start the run again."
        )
    return pickle.loads(place)


def _choose_gpu(place: Any, worker: object) -> None:
    """Let the workers of a computer with several GPUs take turns; where each sees one alone, that is it."""
    if find_device(place.device).type != "cuda" or ":" in place.device or torch.cuda.device_count() == 1:
        return
    try:
        torch.cuda.set_device(int(str(worker)) % torch.cuda.device_count())
    except ValueError:  # `dask worker` takes its address for its name
        text = f"the worker {worker} sees several GPUs, and takes the first; start each with a number as its --name."
        warnings.warn(text, PathfinderWarning, stacklevel=2)
