"""Files: written whole and renamed into place, read without ever running what they contain."""

import json
import math
import os
import pickle
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from pathfinder.errors import PathfinderError, brief, listed, reason

_WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "net")
_DEEPEST = 9  # wrappings that are taken off; a pickle may hold itself
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
        PathfinderError: if nothing is there, a folder is, or it may not be read.
    """
    path = Path(path)
    try:
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name too long, say
        problem = getattr(error, "strerror", None) or reason(error)
        raise PathfinderError(f"{what} {brief(path)} cannot be read ({problem}); check the spelling.") from error
    if folder:
        raise PathfinderError(f"{what} must be a file, but {path} is a folder; name a file in it.")
    if not there:
        raise PathfinderError(f"{what} {brief(path)} does not exist; check the spelling and the folder you are in.")
    if not os.access(path, os.R_OK):
        raise PathfinderError(f"{what} {path} may not be read; check its permissions.")
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
    with _opened(path, what) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, _metadata(file)


def load_header(path: str | Path, what: str = "checkpoint") -> tuple[int, dict[str, Any]]:
    """How many values all tensors of a safetensors file hold together, and its metadata; no tensor is read.

    Raises:
        PathfinderError: if the file is missing, a folder, cut short or of another kind.
    """
    with _opened(path, what) as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys()), _metadata(file)  # noqa: SIM118


@contextmanager
def _opened(path: str | Path, what: str) -> Iterator[Any]:
    path = existing_file(path, what)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise PathfinderError(
            f"{what} {path} is damaged or no safetensors file ({reason(error)}); make it anew."
        ) from error


def _metadata(file: Any) -> dict[str, Any]:
    return {key: _parsed(value) for key, value in (file.metadata() or {}).items()}


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """A state dict from anybody's checkpoint. Nothing in it is run: neither pickled code nor what it names.

    Takes safetensors, and torch files (`.pt`, `.pth`, `.th`, `.t7`) read with `weights_only=True`; the usual
    wrappings (`state_dict`, `model`, ...) and prefixes (`module.`, `_orig_mod.`) are taken off.

    Raises:
        PathfinderError: if the file is missing, damaged, holds code, or holds no plain tensors by name.
    """
    path = existing_file(path, "checkpoint")
    content = load_tensors(path)[0] if path.suffix == ".safetensors" else _load_torch(path)
    for _ in range(_DEEPEST):
        if not isinstance(content, Mapping):
            break
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
    for name, value in tensors.items():
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            kind = "quantized" if value.is_quantized else brief(value.layout if value.device.type == "cpu" else "empty")
            raise PathfinderError(
                f"checkpoint {path}: `{brief(name)}` is {kind} ({brief(value.dtype)}); save plain tensors with values."
            )
    return tensors


def _load_torch(path: Path) -> Any:
    try:
        check_unpacked(path)
        with warnings.catch_warnings(action="ignore"):  # torch muses about old pickles; they are refused or read
            return torch.load(path, map_location="cpu", weights_only=True)
    except PathfinderError:
        raise
    except pickle.UnpicklingError as error:
        raise PathfinderError(
            f"checkpoint {path} is damaged or holds more than tensors, and is not unpickled because that could "
            "run its code; save model.state_dict() with torch.save or as safetensors."
        ) from error
    except Exception as error:  # whatever a damaged file makes the reader raise: IndexError, struct.error and others
        raise PathfinderError(f"checkpoint {path} cannot be read ({reason(error)}); is it cut short?") from error


_DENSEST, _HARMLESS = 500, 2**28  # bytes out of one that is packed, where more than 256 MiB come out


def check_unpacked(path: Path) -> None:
    """Look at the table of an archive, before anything is unpacked, for one that is made to fill the memory.

    Raises:
        PathfinderError: if it is small itself and would unpack to hundreds of times its size.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    packed = path.stat().st_size
    if unpacked > _HARMLESS and unpacked > _DENSEST * packed:
        raise PathfinderError(
            f"{path} would unpack {packed / 2**20:.3g} MiB to {unpacked / 2**30:.3g} GiB, which no real file does; "
            "it is not read."
        )


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # metadata written by others is plain text
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
