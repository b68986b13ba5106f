"""Sources of examples: the user's data, checked and turned into a Split or a Stream."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import TensorDataset

from pathfinder.data.batching import Tree, is_tree, leaves, slices, tensors_from
from pathfinder.data.split import Split
from pathfinder.data.stream import Stream
from pathfinder.errors import PathfinderError, list_names
from pathfinder.settings import describe

Source = Split | Stream
IGNORED = -100  # the label of an example or token that is left out, as in torch


def smallest_pass(source: Source, size: int, micro: int | None = None, examples: int | None = None) -> int:
    """The smallest number of examples in a forward pass.

    Args:
        source: the data.
        size: examples per batch.
        micro: examples per micro-batch, if batches are cut.
        examples: how many of the data are used; all if not given.
    """
    if isinstance(source, Stream):
        return size
    batches = {part.stop - part.start for part in slices(min(examples or len(source), len(source)), size)}
    return min(part.stop - part.start for batch in batches for part in slices(batch, micro or batch))


def as_source(data: Any, name: str = "data") -> Source:
    """The user's data as a Split or a Stream.

    A pair (x, y) or a TensorDataset of two becomes a Split, any other iterable a Stream of batches. NumPy arrays become
    tensors.

    Args:
        data: the data.
        name: what errors call it.

    Raises:
        PathfinderError: if it is none of these, has no examples, x and y differ in length, or values are NaN or out of
            range.
    """
    if isinstance(data, Stream):
        return data
    if isinstance(data, Mapping):
        hint = f'data["{"train" if "train" in data else next(iter(data), "train")}"]'
        raise PathfinderError(f"{name} must be one split, got a dict of {list_names(map(str, data))}; pass {hint}.")
    pair = _paired(data, name)
    if pair is not None:
        x, y = pair
        labels = isinstance(y, Tensor) and y.ndim == 1 and not (y.is_floating_point() or y.is_complex()) and len(y) > 0
        data = Split(x, y, classes=max(int(y.max()) + 1, 1) if labels else None)
    if not isinstance(data, Split):
        return Stream(data)
    return _checked(data, name)


def splits_by_name(data: Any) -> dict[str, Source]:
    """Splits by name, each a Split or a Stream.

    Raises:
        PathfinderError: if data is anything else.
    """
    if not isinstance(data, Mapping):
        raise PathfinderError(f'data must be splits by name, got {describe(data)}; pass {{"train": (x, y)}}.')
    if not data:
        raise PathfinderError('data needs at least one split, such as {"train": (x, y)}.')
    for name in data:
        if not isinstance(name, str) or not name:
            raise PathfinderError(f'a split must have a name, such as "train", got {describe(name)}.')
    return {name: as_source(split, name) for name, split in data.items()}


def _paired(data: Any, name: str) -> tuple[Tree, Tree] | None:
    """The inputs and targets of a pair; None if data is a split or batches."""
    if isinstance(data, TensorDataset):
        data = data.tensors
        if len(data) != 2:
            raise PathfinderError(f"{name} must hold inputs and targets, got a TensorDataset of {len(data)}; pass two.")
    flat = isinstance(data, list) and all(isinstance(part, Tensor | np.ndarray) for part in data)
    if not (isinstance(data, tuple) or flat) or len(data) != 2 or isinstance(data, Split):
        return None
    x, y = (tensors_from(part) for part in data)
    if is_tree(x) and is_tree(y):
        return x, y
    if all(isinstance(part, tuple | list) and len(part) == 2 and is_tree(tensors_from(part[1])) for part in data):
        return None  # two batches
    kinds = " and ".join(type(part).__name__ for part in data)
    raise PathfinderError(f"{name}: x and y must be tensors or NumPy arrays, got {kinds}; convert them to tensors.")


def _checked(split: Split, name: str) -> Split:
    given = [tensors_from(split.x), tensors_from(split.y)]
    for axis, tree in zip("xy", given, strict=True):
        wrong = [leaf for leaf in leaves(tree) if not isinstance(leaf, Tensor) or leaf.ndim == 0]
        if wrong or not leaves(tree):
            kind = "nothing" if not wrong else "a single number" if isinstance(wrong[0], Tensor) else type(wrong[0])
            kind = kind if isinstance(kind, str) else kind.__name__
            raise PathfinderError(f"{name}: {axis} must be tensors or NumPy arrays, a row per example, got {kind}.")
    if given[0] is not split.x or given[1] is not split.y:
        split = replace(split, x=given[0], y=given[1])
    lengths = sorted({len(leaf) for leaf in leaves((split.x, split.y))})
    if len(lengths) > 1:
        raise PathfinderError(f"{name}: x and y must have the same length, got {len(split)} and {_other(split)}.")
    if lengths[0] == 0:
        raise PathfinderError(f"{name}: the split has 0 examples; it needs at least one.")
    for axis, tree in (("x", split.x), ("y", split.y)):
        for leaf in leaves(tree):
            if leaf.is_floating_point() and not leaf.isfinite().all():
                row = int((~leaf.isfinite()).reshape(len(leaf), -1).any(1).nonzero()[0])
                raise PathfinderError(f"{name}: {axis} holds NaN or infinity, first in example {row}; clean the data.")
    if split.classes is not None and isinstance(split.y, Tensor):
        wrong = ((split.y < 0) & (split.y != IGNORED) | (split.y >= split.classes)).nonzero()
        if len(wrong):
            first = int(wrong[0][0])
            label = int(split.y[first])
            raise PathfinderError(f"{name}: labels must be 0 to {split.classes - 1}, got {label} in example {first}.")
    return split


def _other(split: Split) -> int:
    return next(len(leaf) for leaf in leaves((split.x, split.y)) if len(leaf) != len(split))


def digests(data: Mapping[str, Source]) -> dict[str, str]:
    """The fingerprint of each split."""
    return {name: split.digest for name, split in data.items()}
