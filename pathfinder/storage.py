"""Files: written whole and renamed into place, read without ever running what they contain."""

import json
import os
import pickle
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from pathfinder.errors import PathfinderError, listed

_WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "net")
_CHEAP = 0.08  # seconds; a save that takes longer is made less often in proportion
_PREFIXES = ("module.", "_orig_mod.")


def write(path: str | Path, fill: Callable[[Path], object]) -> None:
    """Let `fill` write a temporary file beside `path`, then rename it: a reader sees the old file or the new one.

    Raises:
        PathfinderError: if the file cannot be written; what was there before is untouched.
    """
    path = Path(path)
    scratch = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        scratch = Path(name)
        fill(scratch)
        scratch.chmod(0o644)
        scratch.replace(path)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise PathfinderError(f"cannot write {path}: {reason}; free some space or choose another place.") from error
    finally:
        if scratch is not None:
            scratch.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file whole."""
    write(path, lambda scratch: scratch.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: str | Path, value: object) -> None:
    """Write a value as indented JSON."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def existing_file(path: str | Path, what: str) -> Path:
    """The path, if it is a file that exists.

    Raises:
        PathfinderError: if nothing is there or a folder is.
    """
    path = Path(path)
    if path.is_dir():
        raise PathfinderError(f"{what} must be a file, but {path} is a folder; name a file in it.")
    if not path.exists():
        raise PathfinderError(f"{what} {path} does not exist; check the spelling and the folder you are in.")
    return path


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Write tensors as safetensors; metadata values are kept as JSON."""
    own = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    content = to_safetensors(own, {key: json.dumps(value) for key, value in metadata.items()})
    write(path, lambda scratch: scratch.write_bytes(content))


def load_tensors(path: str | Path, what: str = "checkpoint") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        PathfinderError: if the file is missing, a folder, cut short or of another kind.
    """
    path = existing_file(path, what)
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            raw = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise PathfinderError(f"{what} {path} is damaged or no safetensors file ({error}); make it anew.") from error
    return tensors, {key: _parsed(value) for key, value in raw.items()}


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """A state dict from anybody's checkpoint, read without running code.

    Takes safetensors, and torch files (`.pt`, `.pth`, `.th`, `.t7`) read with `weights_only=True`; the usual
    wrappings (`state_dict`, `model`, ...) and prefixes (`module.`, `_orig_mod.`) are taken off.

    Raises:
        PathfinderError: if the file is missing, damaged, holds code, or holds no tensors by name.
    """
    path = existing_file(path, "checkpoint")
    content = load_tensors(path)[0] if path.suffix == ".safetensors" else _load_torch(path)
    while isinstance(content, Mapping):
        inner = [content[key] for key in _WRAPPINGS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping) or not any(
        isinstance(value, Tensor) and isinstance(name, str) for name, value in content.items()
    ):
        keys = listed(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise PathfinderError(
            f"checkpoint {path} holds no state dict but {keys or 'nothing'}; save model.state_dict()."
        )
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor) and isinstance(name, str)}
    for prefix in _PREFIXES * 2:  # put there by wrappers of the whole network, so on every name
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _load_torch(path: Path) -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):  # torch muses about old pickles; they are refused or read
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise PathfinderError(
            f"checkpoint {path} is damaged or holds more than tensors, and is not unpickled because that could "
            "run its code; save model.state_dict() with torch.save or as safetensors."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PathfinderError(f"checkpoint {path} cannot be read ({reason}); is it cut short?") from error


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:  # metadata written by others is plain text
        return value


class Stage:
    """A resumable piece of work: one file that holds what is done so far, trusted only under the same key.

    Args:
        path: the file.
        key: what the work depends on; a file written under another key is not used.
        every: seconds between two saves, so that a kill loses little work; more where saving itself takes long.
    """

    def __init__(self, path: str | Path, key: str, every: float = 4.0) -> None:
        self.path, self.key, self.every = Path(path), key, every
        self._saved, self._cost = time.monotonic(), 0.0

    def load(self) -> dict[str, Any] | None:
        """What was saved last under this key, or nothing."""
        if not self.path.is_file():
            return None
        try:
            content = _load_torch(self.path)
        except PathfinderError:  # damaged from outside: the work is done again
            return None
        return content["state"] if content.get("key") == self.key else None

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep `state`: nested dicts and lists of tensors, numbers and strings."""
        began = time.monotonic()
        write(self.path, lambda scratch: torch.save({"key": self.key, "state": dict(state)}, scratch))
        self._saved = time.monotonic()
        self._cost = self._saved - began

    def due(self) -> bool:
        """Whether the last save is long enough ago."""
        return time.monotonic() - self._saved >= self.every * max(1.0, self._cost / _CHEAP)
