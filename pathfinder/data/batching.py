"""Batches: trees of tensors with one row per example, and how they are cut.

A tree is a tensor, or a tuple or dict of tensors: what a module takes, and what a loss compares.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfinder.errors import PathfinderError

_BLOCK = 1 << 24  # bytes that are added up at a time
Tree = Any  # a tensor, or a tuple or dict of tensors with one row per example


def count(tree: Tree) -> int:
    """The number of examples of a tree."""
    return len(leaves(tree)[0])


def leaves(tree: Tree) -> list[Any]:
    """The tensors of a tree of any depth, in order, and anything else that it holds."""
    if isinstance(tree, Mapping):
        tree = tuple(tree.values())
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, tuple | list) else [tree]


def map_leaves(function: Callable[[Tensor], Any], tree: Tree) -> Tree:
    """Apply a function to each tensor of a tree and keep its shape; lists become tuples, None stays None."""
    if isinstance(tree, Mapping):
        return {key: map_leaves(function, part) for key, part in tree.items()}
    if isinstance(tree, tuple | list):
        return tuple(map_leaves(function, part) for part in tree)
    return None if tree is None else function(tree)


def is_tree(value: Any) -> bool:
    """Whether a value is a tensor, or a tuple, list or dict of tensors and nothing else."""
    parts = list(value.values()) if isinstance(value, Mapping) else value
    if isinstance(parts, tuple | list):
        return len(parts) > 0 and all(isinstance(part, Tensor) for part in parts)
    return isinstance(value, Tensor)


def has_tensors(tree: Tree) -> bool:
    """Whether a tree, of any depth, holds at least one tensor, and nothing else but None."""
    found = leaves(tree)
    return any(leaf is not None for leaf in found) and all(leaf is None or isinstance(leaf, Tensor) for leaf in found)


def tensors_from(value: Any) -> Any:
    """A tree with its NumPy arrays as tensors, which share their memory if possible; anything else as it is."""
    if isinstance(value, np.ndarray):
        return _tensor_from(value)
    if isinstance(value, Mapping):
        made = {key: tensors_from(part) for key, part in value.items()}
        return made if any(made[key] is not part for key, part in value.items()) else value
    if isinstance(value, tuple | list):
        made = tuple(tensors_from(part) for part in value)
        return made if any(new is not old for new, old in zip(made, value, strict=True)) else value
    return value


def _tensor_from(array: np.ndarray) -> Tensor:
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > 8 * (1 + (array.dtype.kind == "c")):
        raise PathfinderError(f"an array must hold numbers that torch has, got {array.dtype}; convert it with .astype.")
    wide = array.dtype.kind == "u" and array.dtype.itemsize > 1  # torch computes little with these
    native = np.dtype(np.int64) if wide else array.dtype.newbyteorder("=")
    own = np.ascontiguousarray(array, dtype=native).reshape(array.shape)
    return torch.from_numpy(own if own.flags.writeable else own.copy())


def checksum(tree: Tree) -> int:
    """A number that changes with the bytes of the tensors; those on an accelerator are added up there."""
    total = 0
    for leaf in leaves(tree):
        own = leaf.detach().contiguous().reshape(-1).view(torch.uint8)
        total = zlib.crc32((own if own.device.type == "cpu" else _sum_bytes(own)).numpy(), total)
    return total


def _sum_bytes(own: Tensor) -> Tensor:
    """Eight bytes, on the CPU, that change with any of a tensor's bytes and with their order."""
    total = torch.zeros(1, dtype=torch.int64, device=own.device)
    for start in range(0, len(own), _BLOCK):
        part = own[start : start + _BLOCK]
        places = torch.arange(start, start + len(part), device=own.device)
        weights = places.mul_(2654435761).bitwise_and_(0xFFFFFFFF).bitwise_or_(1)  # odd, so that no change is lost
        total += weights.mul_(part).sum()
    return total.cpu().view(torch.uint8)


def parts(batch: tuple[Tree, Tree], size: int | None) -> Iterator[tuple[Tree, Tree]]:
    """Cut a batch into pieces of `size` examples; None leaves it whole."""
    examples = count(batch[0])
    for piece in [slice(None)] if size is None or size >= examples else slices(examples, size):
        yield tuple(map_leaves(lambda leaf, piece=piece: leaf[piece], tree) for tree in batch)


def slices(examples: int, size: int) -> list[slice]:
    """Consecutive ranges of `size` examples; a single last example joins the range before, as BatchNorm needs two."""
    if size < 1:
        raise PathfinderError(f"batch_size must be 1 or more, got {size}.")
    starts = list(range(0, examples, size))
    if len(starts) > 1 and size > 1 and examples - starts[-1] == 1:
        starts.pop()
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], examples], strict=True)]
