"""Tensors with metadata, as safetensors."""

import json
import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pathfinder.errors import PathfinderError, reason
from pathfinder.storage.files import existing_file, write

_METADATA = "pathfinder"  # the entry of a safetensors file that holds ours


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, object]) -> None:
    """Write tensors as safetensors; the same tensors and metadata give the same bytes.

    The metadata is one entry of sorted JSON: the order in which safetensors writes several entries is random.
    """
    own = {name: _compact(tensor.detach().cpu()) for name, tensor in tensors.items()}
    text = {_METADATA: json.dumps(metadata, sort_keys=True)}
    write(path, lambda scratch: save_file(own, scratch, text))


def _compact(tensor: Tensor) -> Tensor:
    """The tensor itself if it is contiguous and fills its storage, else such a copy."""
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)


def load_tensors(path: str | Path, what: str = "checkpoint") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the metadata of a safetensors file.

    Raises:
        PathfinderError: if the file is missing, a folder, cut short or of another kind.
    """
    with _open(path, what) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return tensors, _metadata(file)


def load_header(path: str | Path, what: str = "checkpoint") -> tuple[int, dict[str, Any]]:
    """The number of values in a safetensors file and its metadata, without reading a tensor.

    Raises:
        PathfinderError: if the file is missing, a folder, cut short or of another kind.
    """
    with _open(path, what) as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys()), _metadata(file)  # noqa: SIM118


@contextmanager
def _open(path: str | Path, what: str) -> Generator[Any, None, None]:
    path = existing_file(path, what)
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise PathfinderError(
            f"{what} {path} is damaged or no safetensors file ({reason(error)}); write it again."
        ) from error


def _metadata(file: Any) -> dict[str, Any]:
    """The metadata of a file: our one entry, or the separate entries that other tools and earlier versions write."""
    found = {key: _parse(value) for key, value in (file.metadata() or {}).items()}
    own = found.pop(_METADATA, None)
    return {**found, **(own if isinstance(own, dict) else {})}


def _parse(value: str) -> Any:
    """A value written as JSON, or the plain text that others write."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value
