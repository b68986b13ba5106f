"""Tensors with metadata, as safetensors."""

import json
import math
from collections.abc import Iterator, Mapping
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
    own = {name: _apart(tensor.detach().cpu()) for name, tensor in tensors.items()}
    text = {_METADATA: json.dumps(metadata, sort_keys=True)}
    write(path, lambda scratch: save_file(own, scratch, text))


def _apart(tensor: Tensor) -> Tensor:
    """The tensor with storage of its own, contiguous; itself if it has that."""
    whole = tensor.is_contiguous() and tensor.untyped_storage().nbytes() == tensor.nbytes
    return tensor if whole else tensor.clone(memory_format=torch.contiguous_format)


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
    """The metadata of a file: one entry of ours, or an entry for each value, as others and earlier versions write."""
    found = {key: _parsed(value) for key, value in (file.metadata() or {}).items()}
    own = found.pop(_METADATA, None)
    return {**found, **(own if isinstance(own, dict) else {})}


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # metadata written by others is plain text
        return value
