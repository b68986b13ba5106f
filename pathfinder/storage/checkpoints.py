"""Checkpoints from anywhere, read without running anything they contain."""

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pathfinder.errors import PathfinderError, brief, list_names, reason
from pathfinder.storage.files import existing_file
from pathfinder.storage.keys import digest_of
from pathfinder.storage.tensors import load_tensors

_WRAPPINGS = ("state_dict", "model_state_dict", "model_state", "model", "net")
_DEEPEST = 9  # wrappings that are removed; a pickle can contain itself
_PREFIXES = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Checkpoint:
    """A file of weights as it was read: everything later is answered from here, and the file is not opened again.

    Attributes:
        path: the file.
        state: its tensors by name, without the usual wrappings and prefixes.
        metadata: what the file says of itself; empty for torch files.
        digest: a digest of tensors and metadata.
    """

    path: Path
    state: Mapping[str, Tensor]
    metadata: Mapping[str, Any]
    digest: str

    @property
    def values(self) -> int:
        """How many values the tensors hold together."""
        return sum(tensor.numel() for tensor in self.state.values())


def read_checkpoint(path: str | Path, what: str = "checkpoint") -> Checkpoint:
    """Read a checkpoint, as `load_weights` does, with its metadata.

    Args:
        path: the file.
        what: the word for it in errors.

    Raises:
        PathfinderError: as for `load_weights`.
    """
    state, metadata = _read(path, what)
    try:
        digest = digest_of([dict(sorted(state.items())), metadata])[:16]
    except RecursionError as error:
        raise PathfinderError(
            f"{what} {path} has metadata that is nested too deeply; save the weights alone."
        ) from error
    return Checkpoint(Path(path), state, metadata, digest)


def load_weights(path: str | Path) -> dict[str, Tensor]:
    """Load a state dict from any checkpoint without running code: neither pickled code nor what it names.

    Takes safetensors, and torch files (`.pt`, `.pth`, `.th`, `.t7`) read with `weights_only=True`; the usual
    wrappings (`state_dict`, `model`, ...) and prefixes (`module.`, `_orig_mod.`) are removed.

    Raises:
        PathfinderError: if the file is missing, damaged, holds code, or holds no plain tensors by name.
    """
    return _read(path, "checkpoint")[0]


def _read(path: str | Path, what: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict in a checkpoint, and its metadata."""
    path = existing_file(path, what)
    content, metadata = load_tensors(path, what) if path.suffix == ".safetensors" else (load_torch(path), {})
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
        keys = list_names(map(str, content)) if isinstance(content, Mapping) else type(content).__name__
        raise PathfinderError(f"{what} {path} holds no state dict but {keys or 'nothing'}; save model.state_dict().")
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor) and isinstance(name, str)}
    for prefix in _PREFIXES * 2:  # wrappings of the whole network prefix every name
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    for name, value in tensors.items():
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu":
            kind = "quantized" if value.is_quantized else brief(value.layout if value.device.type == "cpu" else "empty")
            raise PathfinderError(
                f"{what} {path}: `{brief(name)}` is {kind} ({brief(value.dtype)}); save plain tensors with values."
            )
    return tensors, metadata


def load_torch(path: Path) -> Any:
    """Read a torch file of tensors and plain values.

    Raises:
        PathfinderError: if it is damaged, or holds anything else.
    """
    try:
        check_unpacked(path)
        with warnings.catch_warnings(action="ignore"):  # silence torch's warnings about legacy pickles
            return torch.load(path, map_location="cpu", weights_only=True)
    except PathfinderError:
        raise
    except pickle.UnpicklingError as error:
        raise PathfinderError(
            f"checkpoint {path} is damaged or holds more than tensors, and is not unpickled because that could "
            "run its code; save model.state_dict() with torch.save or as safetensors."
        ) from error
    except Exception as error:  # a damaged file can make the reader raise anything
        raise PathfinderError(f"checkpoint {path} cannot be read ({reason(error)}); is it cut short?") from error


_DENSEST, _HARMLESS = 500, 2**28  # times its size that a file may unpack to, once that is more than 256 MiB


def check_unpacked(path: Path) -> None:
    """Check the table of contents of an archive, before anything is unpacked, against one made to fill the memory.

    Raises:
        PathfinderError: if it would unpack to hundreds of times its size.
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
