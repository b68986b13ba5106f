"""Stages: pieces of work whose state is saved while they are done, so that a killed command can resume."""

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from pathfinder.interrupts import check_interrupt, interrupt_requested
from pathfinder.progress import Progress
from pathfinder.storage.checkpoints import load_torch
from pathfinder.storage.files import write
from pathfinder.storage.keys import digest_of, maker

_CHEAP = 0.08  # seconds; a save that takes longer is made less often in proportion

Point = TypeVar("Point")


@runtime_checkable
class Stage(Protocol):
    """Where a piece of work saves its state and finds it again."""

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last, or None."""

    def save(self, state: Mapping[str, Any]) -> None:
        """Save a state: nested dicts and lists of tensors, numbers and strings."""

    def due(self) -> bool:
        """Whether it is time to save."""


class NoStage:
    """The stage of work that is not saved."""

    def load(self) -> dict[str, Any] | None:
        """None: nothing was saved."""
        return None

    def save(self, state: Mapping[str, Any]) -> None:
        """Do nothing."""

    def due(self) -> bool:
        """False: nothing needs to be saved."""
        return False


class StageFile:
    """A stage that saves to one file, which is used again only under the same key.

    A damaged file is ignored. So is one made by other code, another torch or another number of threads, unless it is
    a finished training.

    Args:
        path: the file.
        key: what the work depends on; a file written under another key is ignored.
        every: seconds between two saves; more where saving itself takes long.
        lasting: whether a state that says `finished` is used whatever made it.

    Attributes:
        maker: what made the state that was loaded or saved last, as `keys.maker` says it.
    """

    def __init__(self, path: str | Path, key: str, every: float = 4.0, lasting: bool = False) -> None:
        self.path, self.key, self.every, self.lasting = Path(path), key, every, lasting
        self.maker = self._own = maker()
        self._saved, self._cost = time.monotonic(), 0.0

    @property
    def reused(self) -> bool:
        """Whether what is kept was made by other code, another torch or another number of threads."""
        return self.maker != self._own

    def load(self) -> dict[str, Any] | None:
        """The state saved last under this key, or None."""
        content = self._read()
        if content is None or is_stale(content, self._own, self.lasting):
            return None
        self.maker = content["maker"]
        return content["state"]

    def save(self, state: Mapping[str, Any]) -> None:
        """Save a state: nested dicts and lists of tensors, numbers and strings; a waiting interrupt is raised here."""
        began = time.monotonic()
        content = {"key": self.key, "maker": self._own, "state": dict(state), "digest": digest_of(state)}
        write(self.path, lambda scratch: _save_torch(content, scratch))
        self.maker = self._own
        self._saved = time.monotonic()
        self._cost = self._saved - began
        check_interrupt()

    def due(self) -> bool:
        """Whether the last save is long enough ago, or an interrupt waits for one."""
        return interrupt_requested() or time.monotonic() - self._saved >= self.every * max(1.0, self._cost / _CHEAP)

    def _read(self) -> dict[str, Any] | None:
        """The content of the file, if it is whole and was written under this key."""
        try:
            content = load_torch(self.path) if self.path.is_file() else None
            whole = content is not None and content["digest"] == digest_of(content["state"])
            return content if whole and content["key"] == self.key and content["maker"].keys() else None
        except Exception:  # torch's reader raises all kinds of errors on a damaged file
            return None


class StageMemory:
    """A stage in memory: it is lost with the process."""

    def __init__(self) -> None:
        self._state: dict[str, Any] | None = None

    def load(self) -> dict[str, Any] | None:
        """What was saved last."""
        return self._state

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state."""
        self._state = dict(state)

    def due(self) -> bool:
        """False: only a finished piece of work is kept."""
        return False


class Unfinished:
    """A stage whose states say that the work is not finished.

    Args:
        stage: where they are saved.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def load(self) -> dict[str, Any] | None:
        """The state that was saved last."""
        return self._stage.load()

    def save(self, state: Mapping[str, Any]) -> None:
        """Save a state."""
        self._stage.save({**state, "finished": False})

    def due(self) -> bool:
        """Whether it is time to save."""
        return self._stage.due()


def is_stale(kept: Mapping[str, Any], own: Mapping[str, Any], lasting: bool) -> bool:
    """Whether what a stage saved is not used because something else made it.

    Args:
        kept: all that it saved.
        own: what would make it now.
        lasting: as for `StageFile`.
    """
    return kept["maker"] != own and not (lasting and kept["state"].get("finished") is True)


def read_kept(path: Path) -> dict[str, Any] | None:
    """All that a stage saved last, its `key`, `state` and `maker`; None if its file is missing or damaged."""
    try:
        kept = load_torch(path) if path.is_file() else None
    except Exception:  # torch's reader raises all kinds of errors on a damaged file
        return None
    whole = isinstance(kept, dict) and kept.keys() >= {"key", "state", "maker"} and isinstance(kept["state"], dict)
    return kept if whole else None


def read_state(path: Path) -> dict[str, Any]:
    """The state that a stage saved last, under whichever key.

    Args:
        path: its file, which must be there.
    """
    return load_torch(path)["state"]


def _save_torch(content: object, path: Path) -> None:
    with path.open("wb") as file:  # through a file of Python's, which knows why a write fails
        torch.save(content, file)


def map_points(
    work: Callable[[Tensor], Iterable[Point]], t: Tensor, *, chunk: int = 1, progress: Progress, stage: Stage
) -> list[Point]:
    """Apply `work` to all points, in order, and skip those that the stage holds already.

    Args:
        work: gives one result for each of a few points; a result is made of tensors, numbers and strings.
        t: the points, (points, ...).
        chunk: points given to `work` at a time.
        progress: called as progress(done, total).
        stage: saves the results so far, whenever it is due and at the end.
    """
    saved = stage.load()
    done: list[Point] = list(saved["points"][: len(t)]) if saved else []
    progress(len(done), len(t))
    while len(done) < len(t):
        done += work(t[len(done) : len(done) + chunk])
        progress(len(done), len(t))
        if stage.due() or len(done) == len(t):
            stage.save({"points": done})
    return done
