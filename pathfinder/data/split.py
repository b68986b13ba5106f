"""Splits of data: examples in memory in a fixed order, and how a batch of them is prepared."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from pathfinder.data.augment import drawn, moved
from pathfinder.data.stream import Stream
from pathfinder.data.trees import Tree, count, is_tree, leaves, mapped, slices, tensors_from
from pathfinder.errors import PathfinderError, listed, reason
from pathfinder.precision import fitting, indexed


@dataclass(frozen=True, eq=False)
class Split:
    """Examples in memory, in a fixed order.

    Attributes:
        x: the inputs, first axis examples: a tensor, or a tuple or dict of them (the module's arguments).
        y: the targets, likewise.
        classes: how many classes the labels have; None where the task has none.
        mean: per-channel mean of `uint8` images scaled to [0, 1], taken off each batch.
        std: per-channel standard deviation, likewise.
        crop: pixels by which images are padded with zeros and cropped at random in `epoch`.
        flip: whether images are mirrored at random in `epoch`.
    """

    x: Tree
    y: Tree
    classes: int | None = None
    mean: Tensor | None = None
    std: Tensor | None = None
    crop: int = 0
    flip: bool = False

    def __len__(self) -> int:
        return count(self.x)

    def __iter__(self) -> Iterator[Tree]:
        return iter((self.x, self.y))

    @property
    def input_shape(self) -> tuple[int, ...] | None:
        """The shape of one input, where inputs are a single tensor."""
        return tuple(self.x.shape[1:]) if isinstance(self.x, Tensor) else None

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that change with any value, shape or type of the data, or how it is normalised."""
        digest = hashlib.sha256(
            repr((self.classes, *(m is not None and m.tolist() for m in (self.mean, self.std)))).encode()
        )
        for leaf in leaves((self.x, self.y)):
            digest.update(f"{leaf.dtype}{tuple(leaf.shape)}".encode())
            digest.update(leaf.contiguous().cpu().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    def batch(self, index: slice | Tensor, moves: Tensor | None = None) -> tuple[Tree, Tree]:
        """The prepared inputs, their images moved as `augment.drawn` says, and the targets of some examples."""
        x, y = (mapped(lambda leaf: leaf[index], tree) for tree in (self.x, self.y))
        if moves is not None:
            x = moved(x, moves[index], self.crop)
        return mapped(self._prepared, x), y

    def batches(self, size: int) -> Iterator[tuple[Tree, Tree]]:
        """All examples in order, `size` at a time; a lone last example joins the batch before it."""
        return (self.batch(part) for part in slices(len(self), size))

    def steps(self, size: int) -> int:
        """How many batches an epoch has."""
        return len(slices(len(self), size))

    def epoch(self, size: int, rng: np.random.Generator, start: int = 0) -> Iterator[tuple[Tree, Tree]]:
        """All examples in an order drawn from `rng`, from batch `start` on, cropped and flipped where that is set."""
        device = leaves(self.x)[0].device
        order = torch.from_numpy(rng.permutation(len(self))).to(device)
        moves = drawn(rng, len(self), self.crop, self.flip)
        moves = None if moves is None else moves.to(device)
        return (self.batch(order[part], moves) for part in slices(len(self), size)[start:])

    def augmented(self, crop: int = 0, flip: bool = False) -> "Split":
        """The split with its images cropped and flipped at random while fitting.

        Raises:
            PathfinderError: if that is asked for and the inputs are no images.
        """
        if (crop or flip) and not (isinstance(self.x, Tensor) and self.x.ndim == 4):
            shapes = ", ".join(str(tuple(leaf.shape[1:])) for leaf in leaves(self.x))
            raise PathfinderError(f"crop and flip need images (channels, height, width), got inputs of shape {shapes}.")
        if crop and not 0 < crop < min(self.x.shape[2:]):
            raise PathfinderError(
                f"crop must be 0 or more and less than the images' side, {self.x.shape[2:]}, got {crop}."
            )
        return replace(self, crop=crop, flip=flip)

    def moved(self, seed: int) -> "Split":
        """The split with its images cropped and flipped once, as `epoch` would, by draws of their own.

        Raises:
            PathfinderError: if neither is set.
        """
        moves = drawn(np.random.default_rng(seed), len(self), self.crop, self.flip)
        if moves is None:
            raise PathfinderError("augmented inputs need a split with crop or flip; set one, or use clean inputs.")
        x = moved(self.x, moves.to(self.x.device), self.crop).contiguous()
        return replace(self, x=x, crop=0, flip=False)

    def subset(self, examples: int | None, seed: int) -> "Split":
        """`examples` of the split, drawn by `seed` and kept in order; the split itself where that is all of it."""
        if examples is None or examples >= len(self):
            return self
        if examples < 1:
            raise PathfinderError(f"the number of examples must be 1 or more, got {examples}.")
        return self._taken(self._drawn(examples, seed))

    def divided(self, examples: int, seed: int) -> tuple["Split", "Split"]:
        """The split without `examples` drawn by `seed`, and these: for validation."""
        if not 0 < examples < len(self):
            raise PathfinderError(f"a validation split must leave some of {len(self)} examples, got {examples}.")
        held = self._drawn(examples, seed)
        return self._taken(np.setdiff1d(np.arange(len(self)), held)), self._taken(held)

    def to(self, device: str | torch.device) -> "Split":
        """The split with its tensors on a device: the same one at each call, so that it is there once.

        Raises:
            PathfinderError: if the data is float64 and the device has none.
        """
        device = indexed(device)
        tensors = leaves((self.x, self.y, *(part for part in (self.mean, self.std) if part is not None)))
        if all(tensor.device == device for tensor in tensors):
            return self
        if device not in self._placed:
            fitting(device, "the data", tensors)
            trees = (self.x, self.y, self.mean, self.std)
            x, y, mean, std = (mapped(lambda leaf: leaf.to(device), tree) for tree in trees)
            self._placed[device] = replace(self, x=x, y=y, mean=mean, std=std)
        return self._placed[device]

    @cached_property
    def _placed(self) -> dict[torch.device, "Split"]:
        """The split on other devices."""
        return {}

    def _drawn(self, examples: int, seed: int) -> np.ndarray:
        return np.sort(np.random.default_rng(seed).choice(len(self), examples, replace=False))

    def _taken(self, chosen: np.ndarray) -> "Split":
        index = torch.from_numpy(chosen)
        return replace(self, x=mapped(lambda leaf: leaf[index], self.x), y=mapped(lambda leaf: leaf[index], self.y))

    def _prepared(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8 or self.mean is None:
            return x
        shape = (-1,) + (1,) * (x.ndim - 2)
        return x.float().div_(255).sub_(self.mean.view(shape)).div_(self.std.view(shape))


Source = Split | Stream


def smallest(source: Source, size: int, micro: int | None = None, examples: int | None = None) -> int:
    """The smallest number of examples that pass together: of a split or some of it, in batches or micro-batches."""
    if isinstance(source, Stream):
        return size
    batches = {part.stop - part.start for part in slices(min(examples or len(source), len(source)), size)}
    return min(part.stop - part.start for batch in batches for part in slices(batch, micro or batch))


def as_source(data: Any, name: str = "data") -> Source:
    """A Split or Stream as it is; a pair (x, y) or a TensorDataset of two as a Split; any other iterable as a Stream of
    batches. NumPy arrays become tensors.

    Raises:
        PathfinderError: if it is none of these, the examples are none, x and y differ in length, or values are NaN or
            out of range.
    """
    if isinstance(data, Stream):
        return data
    if isinstance(data, Mapping):
        hint = f'data["{"train" if "train" in data else next(iter(data), "train")}"]'
        raise PathfinderError(f"{name} must be one split, got a dict of {listed(map(str, data))}; pass {hint}.")
    pair = _paired(data, name)
    if pair is not None:
        x, y = pair
        labels = isinstance(y, Tensor) and y.ndim == 1 and not (y.is_floating_point() or y.is_complex()) and len(y) > 0
        data = Split(x, y, classes=int(y.max()) + 1 if labels else None)
    if not isinstance(data, Split):
        return Stream(data)
    return _checked(data, name)


def _paired(data: Any, name: str) -> tuple[Tree, Tree] | None:
    """The inputs and targets where they are handed in as two; nothing where it is a split or batches."""
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


@contextmanager
def understood(source: Source, dtype: torch.dtype) -> Iterator[None]:
    """Where a network fails on inputs of another precision than its weights, say that in one line."""
    try:
        yield
    except RuntimeError as error:
        other = [x for x in leaves(getattr(source, "x", ())) if x.is_floating_point() and x.dtype != dtype]
        if not other or isinstance(error, torch.OutOfMemoryError):
            raise
        raise PathfinderError(
            f"the network fails on inputs of {other[0].dtype}, its weights are {dtype} ({reason(error)}); convert x "
            f"with .to({dtype})."
        ) from error


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
        wrong = ((split.y < 0) | (split.y >= split.classes)).nonzero()
        if len(wrong):
            first = int(wrong[0][0])
            label = int(split.y[first])
            raise PathfinderError(f"{name}: labels must be 0 to {split.classes - 1}, got {label} in example {first}.")
    return split


def _other(split: Split) -> int:
    return next(len(leaf) for leaf in leaves((split.x, split.y)) if len(leaf) != len(split))
