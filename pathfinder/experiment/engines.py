"""Engines: what does the pieces of a plan, and in which process."""

import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import torch

from pathfinder.compute import find_device
from pathfinder.errors import FailedWorkError, PathfinderWarning, list_names, out_of_memory
from pathfinder.experiment.kept import is_finished, stage_of
from pathfinder.experiment.pieces import Piece
from pathfinder.experiment.progress import SharedProgress
from pathfinder.interrupts import defer_interrupts
from pathfinder.progress import Progress
from pathfinder.threads import threads


@dataclass(frozen=True)
class Done:
    """A piece that was done.

    Attributes:
        piece: which.
        seconds: it took now.
        maker: what made its result.
        reused: whether that was another version of pathfinder or torch, or another number of threads.
        begun: whether some of it was done before.
        kept: whether all of it was.
    """

    piece: Piece
    seconds: float
    maker: dict[str, Any]
    reused: bool
    begun: bool
    kept: bool


@dataclass(frozen=True)
class Failed:
    """A piece that failed, and why; pieces that need it are not done."""

    piece: Piece
    error: FailedWorkError


@runtime_checkable
class Engine(Protocol):
    """Does pieces; enter it first."""

    def __enter__(self) -> "Engine": ...

    def __exit__(self, *error: object) -> None: ...

    def run(self, pieces: Iterable[Piece], progress: SharedProgress, finished: Callable[[Done], None]) -> list[Failed]:
        """Do all pieces but those that need one that failed.

        Args:
            pieces: each after those it needs.
            progress: shows how far they are.
            finished: called after each.

        Raises:
            PathfinderError: for any other mistake of the user.
        """
        ...


class Serial:
    """Does one piece after another in this process.

    Args:
        place: where.
    """

    def __init__(self, place: Any) -> None:
        self._place = place

    def __enter__(self) -> "Serial":
        """Nothing is to be started."""
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is to be stopped."""

    def run(self, pieces: Iterable[Piece], progress: SharedProgress, finished: Callable[[Done], None]) -> list[Failed]:
        """As for `Engine`."""
        failed: list[Failed] = []
        missing: set[str] = set()
        for piece in pieces:
            if missing.intersection(piece.needs):
                missing.add(piece.name)
                continue
            try:
                done = do(piece, self._place, progress.of(piece))
            except FailedWorkError as error:
                failed.append(Failed(piece, error))
                missing.add(piece.name)
            else:
                finished(done)
        return failed


def usable_workers(device: str, threads: int) -> int:
    """How many processes this computer has room for: one for each GPU, or for each so many cores.

    Args:
        device: where they compute.
        threads: of each.
    """
    if find_device(device).type == "cuda":
        return 1 if ":" in device else torch.cuda.device_count()
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(cores // threads, 1)


def count_workers(
    asked: int | Literal["auto"], scheduler: str | None, device: str, threads: int, serving: Callable[[], int]
) -> int:
    """How many processes of this computer do the pieces; too many are warned of.

    Args:
        asked: what the user wants.
        scheduler: the address of a cluster that does them instead.
        device: where they compute.
        threads: of each.
        serving: says how many serve; called only where there is room for more than one.
    """
    if scheduler is not None:
        return 1
    room = usable_workers(device, threads)
    if asked == "auto":
        return 1 if room == 1 else max(min(room, serving()), 1)
    if asked > max(room, 1):
        each = "" if threads == 1 else f" of {threads} threads each"
        advice = "" if threads == 1 else " threads = 1 (--threads 1) is faster,"
        warnings.warn(
            f"{asked} workers{each} on {device}, but there is room for {room}: they wait for each other;{advice} or "
            "take fewer workers.",
            PathfinderWarning,
            stacklevel=2,
        )
    return asked


def make_engine(place: Any, workers: int = 1, scheduler: str | None = None, dashboard: bool = False) -> Engine:
    """The engine for so many workers.

    Args:
        place: where pieces are done.
        workers: processes of this computer; one means this process.
        scheduler: the address of a Dask scheduler whose workers do them instead.
        dashboard: whether Dask shows its workers in a browser; then even one is a process of its own.

    Raises:
        PathfinderError: if a dashboard is asked for that cannot be started.
    """
    if workers == 1 and scheduler is None and not dashboard:
        return Serial(place)
    from pathfinder.experiment.cluster import Cluster  # Dask takes a second to import

    return Cluster(place, workers, scheduler, dashboard)


def do(piece: Piece, place: Any, progress: Progress) -> Done:
    """Do a piece, or the rest of it; its result is kept in the folder of the place.

    Args:
        piece: which.
        place: what its function takes first.
        progress: shows how far it is.

    Raises:
        FailedWorkError: if it diverges, or needs more memory than there is.
    """
    from pathfinder.experiment import work  # needs all that an experiment does

    called = False

    def show(done: int, total: int) -> None:
        nonlocal called
        called = True
        progress(done, total)

    with threads(piece.threads):
        stage = stage_of(place.folder, piece)
        state = stage.load()
        if state is None:
            progress(0, max(piece.points, 1))
        began = time.monotonic()
        with defer_interrupts():
            try:
                result = getattr(work, piece.work)(place, stage, show, *piece.arguments)
            except (RuntimeError, MemoryError) as error:
                if (message := out_of_memory(error)) is None:
                    raise
                raise FailedWorkError(f"{piece.name}: {message}") from error
            if result is not None and (state is None or state.get("finished") is False):
                stage.save(result)
        if not called:  # work in one piece, or points that nobody asked for
            progress(max(piece.points, 1), max(piece.points, 1))
        kept = state is not None and is_finished(piece, state)
        return Done(piece, time.monotonic() - began, stage.maker, stage.reused, state is not None, kept)


def raise_failed(failed: Sequence[Failed], missing: int) -> None:
    """End a run whose pieces failed, once everything else is done.

    Args:
        failed: the pieces that failed.
        missing: how many pieces were not done, the failed ones included.

    Raises:
        FailedWorkError: if there is one.
    """
    if not failed:
        return
    others, lost = [one.piece.title for one in failed[1:]], missing - len(failed)
    text = str(failed[0].error)
    if others:
        text += f" {list_names(dict.fromkeys(others))} failed too."
    if lost:
        text += f" {lost} other pieces of work need what failed, and were not done."
    raise FailedWorkError(text) from failed[0].error
