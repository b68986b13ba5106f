"""The folder of a run: what may be in it, the work kept in it, and its record, run.json."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pathfinder.data import Source
from pathfinder.errors import PathfinderError
from pathfinder.progress import Progress, silent
from pathfinder.provenance import provenance
from pathfinder.storage import Stage, existing_file, write_json

Report = Callable[[str], Progress]


def quiet(name: str) -> Progress:
    """The report of a caller who wants none."""
    return silent


class RunFolder:
    """The folder of one experiment.

    Args:
        path: the folder; it may hold an earlier, even interrupted run of the same experiment.
        name: the experiment's.
        report: gives the progress function of each piece of work by its name.

    Raises:
        PathfinderError: if the folder is a file, or holds anything else.
    """

    def __init__(self, path: str | Path, name: str, report: Report = quiet) -> None:
        self.path, self.name, self._report = Path(path), name, report
        self._seconds: dict[str, float] = _earlier(self.path, name).get("seconds", {})

    @contextmanager
    def stage(self, name: str, key: str) -> Iterator[tuple[Stage, Progress]]:
        """A piece of work that is kept as it is done, with its progress; its seconds go into the record."""
        stage = Stage(self.path / ".work" / f"{name.replace(' ', '-')}.pt", key)
        before = self._seconds.get(name, 0.0) if stage.load() else 0.0
        began = time.monotonic()
        yield stage, self._report(name)
        self._seconds[name] = round(before + time.monotonic() - began, 2)

    def write_record(self, device: str, data: Mapping[str, Source], **entries: Any) -> None:
        """Write run.json: what was asked for, with what it was made, and how long each stage took."""
        described = {name: {"examples": len(split), "fingerprint": split.fingerprint} for name, split in data.items()}
        record = {
            "name": self.name,
            **entries,
            **provenance(device),
            "data": described,
            "seconds": self._seconds,
        }
        write_json(self.path / "run.json", record)


def key_of(*parts: Any) -> str:
    """A short name for what a piece of work depends on: equal parts, equal key."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def digest(path: str | Path) -> str:
    """A short name for what a file holds."""
    return hashlib.sha256(existing_file(path, "file").read_bytes()).hexdigest()[:16]


def fingerprints(data: Mapping[str, Source]) -> dict[str, str]:
    """The fingerprint of each split."""
    return {name: split.fingerprint for name, split in data.items()}


def _earlier(folder: Path, name: str) -> dict[str, Any]:
    if folder.exists() and not folder.is_dir():
        raise PathfinderError(f"the output folder {folder} is a file; choose another with --out.")
    for leftover in list(folder.rglob(".*.tmp")):  # of a write that was killed
        leftover.unlink(missing_ok=True)
    if not folder.exists() or not any(folder.iterdir()):
        return {}
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        if record["name"] == name:
            return record
        found = f"the experiment `{record['name']}`"
    except (OSError, ValueError, KeyError, TypeError):
        found = "other files"
    raise PathfinderError(f"{folder} holds {found}, not `{name}`; choose another folder with --out.")
