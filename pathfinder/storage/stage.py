"""Stages: pieces of work that are kept as they are done, and resumed."""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pathfinder.progress import check_interrupt, interrupt_requested
from pathfinder.storage.checkpoints import load_torch
from pathfinder.storage.files import write
from pathfinder.storage.keys import maker

_CHEAP = 0.08  # seconds; a save that takes longer is made less often in proportion


class Stage:
    """A resumable piece of work: one file that holds what is done so far, trusted only under the same key.

    A file that is damaged or odd counts as none. So does one that other code, another torch or another number of
    threads made, unless it is a finished training.

    Args:
        path: the file.
        key: what the work depends on; a file written under another key is not used.
        every: seconds between two saves, so that a kill loses little work; more where saving itself takes long.
        lasting: whether the work, once its state says `finished`, is used whatever made it.

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
        """What was saved last under this key, or nothing."""
        content = self._read()
        if content is None:
            return None
        if content["maker"] != self._own and not (self.lasting and content["state"].get("finished") is True):
            return None
        self.maker = content["maker"]
        return content["state"]

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep `state`: nested dicts and lists of tensors, numbers and strings. An interrupt that waits ends here."""
        began = time.monotonic()
        content = {"key": self.key, "maker": self._own, "state": dict(state), "checksum": _checksum(state)}
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
            whole = content is not None and content["checksum"] == _checksum(content["state"])
            return content if whole and content["key"] == self.key and content["maker"].keys() else None
        except Exception:  # torch's reader raises all kinds of errors on a damaged file
            return None


def _save_torch(content: object, path: Path) -> None:
    with path.open("wb") as file:  # through a file of Python's, which knows why a write fails
        torch.save(content, file)


def _checksum(state: Any) -> str:
    """A digest of everything in nested dicts and lists of tensors, numbers and strings."""
    total = hashlib.sha256()

    def add(value: Any) -> None:
        if isinstance(value, Tensor):
            total.update(f"{value.dtype} {tuple(value.shape)} {value.requires_grad}".encode())
            total.update(memoryview(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()))
        elif isinstance(value, Mapping):
            total.update(f"dict {len(value)}".encode())
            for key, part in value.items():
                total.update(f"{type(key).__name__} {key!r}".encode())
                add(part)
        elif isinstance(value, list | tuple):
            total.update(f"{type(value).__name__} {len(value)}".encode())
            for part in value:
                add(part)
        else:
            total.update(f"{type(value).__name__} {value!r}".encode())

    add(state)
    return total.hexdigest()
