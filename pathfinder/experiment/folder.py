"""A run in its folder: lock, saved work, the record run.json, tables and figures."""

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from pathfinder.data.normalization import normalization_of
from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError, PathfinderWarning, brief, list_names
from pathfinder.experiment.changes import check_changes
from pathfinder.experiment.engines import Done
from pathfinder.experiment.kept import WORK
from pathfinder.experiment.pieces import Piece
from pathfinder.experiment.provenance import provenance
from pathfinder.storage import hold_lock, is_scratch, write_json
from pathfinder.tables.results import Results

_LOCK = ".lock"
_OWN = (WORK, "minima", "curves", "trajectories", "figures", "vtk")  # the folders that runs write into


class Run:
    """The run of an experiment or a command in its folder; work is done within `with run:`, by one process at a time.

    Entering locks the folder and writes the record, run.json. Leaving without an error writes the tables, removes
    those of an earlier run, draws the figures, and writes the record once more; leaving because of a check writes the
    record alone.

    Args:
        path: the folder; it may hold an earlier, even interrupted run of the same name.
        name: what the run is called; a folder takes runs of one name only.
        fresh: whether nothing from an earlier run is used.

    Attributes:
        path: the folder.
        results: its tables.
        draw: draws its figures.

    Raises:
        PathfinderError: if the folder is a file, or holds anything else; nothing is changed then. On entering, if
            another process works in it.
    """

    def __init__(self, path: str | Path, name: str, fresh: bool = False) -> None:
        self.path, self._name, self._fresh = Path(path), name, fresh
        self.results = Results(self.path)
        self.draw: Callable[[Path], object] = _draw
        record = _record(self.path, name)
        self._earlier = record.get("config")
        self._seconds = _seconds_in(record)
        self._makers: dict[str, dict[str, Any]] = {}
        self._reused: list[str] = []
        self._checks: dict[str, dict[str, Any]] = {}
        self._held = ExitStack()
        self.describe("cpu", {})

    def describe(self, device: str, data: Mapping[str, Source], threads: Sequence[int] = (), **entries: Any) -> None:
        """Set what the record says.

        Args:
            device: where the run computes.
            data: the splits.
            threads: the numbers of threads that its pieces take; torch's own at the time of writing if not given.
            entries: further entries, such as `config`.
        """
        self._device, self._data, self._threads, self._entries = device, data, threads, entries

    def check_changes(self, pieces: Sequence[Piece], force: bool) -> None:
        """Warn of work of the earlier run that other settings redo; call this before the run begins.

        Raises:
            PathfinderError: if there is any, without `force`.
        """
        if self._fresh:
            return
        earlier = self._earlier if isinstance(self._earlier, dict) else {}
        note = check_changes(self.path, pieces, earlier, self._entries.get("config", {}), force)
        if note is not None:
            warnings.warn(note, PathfinderWarning, stacklevel=2)

    def record_checks(self, kind: str, entries: Mapping[str, dict[str, Any]]) -> None:
        """Set what the record says of checks.

        Args:
            kind: of the checks, `batch_norm` or the precision.
            entries: of each by the name of what was checked: whether it passed, and the metrics scored in both ways.
        """
        self._checks.setdefault(kind, {}).update(entries)

    def __enter__(self) -> "Run":
        with ExitStack() as held:
            held.enter_context(hold_lock(self.path / _LOCK, f"{self.path} is in use"))
            for leftover in _leftovers(self.path):  # from a killed write
                leftover.unlink(missing_ok=True)
            if self._fresh:
                for kept in (self.path / WORK).glob("*.pt"):
                    kept.unlink(missing_ok=True)
            self._write_record()
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._held:
            if kind is None:
                self.results.write()
                self.results.remove_stale()
                if self.results:
                    self.draw(self.path)
                self._write_record()
            elif self._checks and issubclass(kind, PathfinderError):
                self._write_record()  # with the check that stopped the run
        if self._reused and kind is None:
            warnings.warn(
                f"{list_names(self._reused)} made by another version of pathfinder or torch, or with another number of "
                "threads, and used again; run.json names the makers, --fresh trains again.",
                PathfinderWarning,
                stacklevel=2,
            )

    def note(self, done: Done) -> None:
        """Set what the record says of a piece that was done: what made it, and how long it took."""
        title = done.piece.title
        if title not in self._makers and not done.begun:
            self._seconds.pop(title, None)
        self._seconds[title] = round(self._seconds.get(title, 0.0) + done.seconds, 2)
        self._makers[title] = done.maker
        if done.reused and title not in self._reused:
            self._reused.append(title)

    def _write_record(self) -> None:
        """Write run.json: the settings, what the run was made with, and how long each stage took."""
        described = {
            name: {"examples": len(split), "fingerprint": split.digest, "normalization": normalization_of(split)}
            for name, split in self._data.items()
        }
        record = {
            "name": self._name,
            **self._entries,
            **provenance(self._device, self._threads),
            "data": described,
            **({"checks": self._checks} if self._checks else {}),
            "seconds": self._seconds,
            "made_by": self._made_by(),
        }
        write_json(self.path / "run.json", record)

    def _made_by(self) -> list[dict[str, Any]]:
        """What made the stages: each maker once, with the names of its stages."""
        found: list[tuple[dict[str, Any], list[str]]] = []
        for name, maker in self._makers.items():
            stages = next((stages for one, stages in found if one == maker), None)
            if stages is None:
                found.append((maker, stages := []))
            stages.append(name)
        return [{**maker, "stages": stages} for maker, stages in found]


def _draw(folder: Path) -> object:
    """Draw all figures, in this process."""
    from pathfinder.figures.draw import draw

    return draw(folder)


def _record(folder: Path, name: str) -> dict[str, Any]:
    """The record of the earlier run in a folder; empty if the folder is new.

    Raises:
        PathfinderError: if the folder holds anything but a run of this name, or leads elsewhere.
    """
    try:
        folder.stat()
    except FileNotFoundError:
        return {}
    except OSError as error:  # a name too long, or below a file
        raise PathfinderError(f"cannot write {brief(folder)}: {error.strerror}; choose another --out.") from error
    if folder.exists() and not folder.is_dir():
        raise PathfinderError(f"the output folder {folder} is a file; choose another with --out.")
    if not folder.exists() or all(entry.name == _LOCK or is_scratch(entry) for entry in folder.iterdir()):
        return {}
    for own in _OWN:
        if (folder / own).is_symlink():
            raise PathfinderError(f"{folder / own} is a link; make it a folder, or choose another --out.")
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if record["name"] == name:
            return record
        found = f"the experiment `{str(record['name'])[:100]}`"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        found = "other files"
    raise PathfinderError(f"{folder} holds {found}, not `{name}`; choose another folder with --out.")


def _seconds_in(record: Mapping[str, Any]) -> dict[str, float]:
    """The seconds of each stage in a record; values that are not numbers are left out."""
    found = record.get("seconds", {})
    pairs = found.items() if isinstance(found, dict) else ()
    return {name: value for name, value in pairs if isinstance(value, int | float) and math.isfinite(value)}


def _leftovers(folder: Path) -> Iterator[Path]:
    """The temporary files that killed writes left where runs write."""
    places = [folder, *(folder / own for own in _OWN), *(folder / "trajectories").glob("*")]
    for place in places:
        if place.is_dir() and (place == folder or not place.is_symlink()):
            yield from [entry for entry in place.iterdir() if is_scratch(entry)]
