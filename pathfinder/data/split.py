"""Split: examples in memory, in a fixed order, and how a batch of them is prepared."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfinder.compute import check_float64, with_index
from pathfinder.data.augment import apply_moves, draw_moves
from pathfinder.data.batching import Tree, count, leaves, map_leaves, slices
from pathfinder.errors import PathfinderError, reason


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """Examples in memory, in a fixed order.

    Args:
        x: the inputs, one row per example: a tensor, or a tuple or dict of tensors (the arguments of the module).
        y: the targets, one row per example.
        classes: the number of classes of the labels; None for a task without classes.
        mean: the mean per channel of `uint8` images scaled to [0, 1], subtracted from each batch.
        std: their standard deviation per channel, by which each batch is then divided.
        crop: pixels by which `epoch` pads images with zeros, which is black before normalisation, and crops them at
            random.
        flip: whether `epoch` mirrors images at random.

    >>> split = Split(torch.zeros(100, 3, 8, 8), torch.arange(100) % 10, classes=10)
    >>> split
    Split(100 examples, inputs (3, 8, 8), 10 classes)
    >>> [len(y) for _, y in split.batches(40)]
    [40, 40, 20]
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
        """The shape of one input; None if an input is several tensors."""
        return tuple(self.x.shape[1:]) if isinstance(self.x, Tensor) else None

    def __repr__(self) -> str:
        shapes = ", ".join(str(tuple(leaf.shape[1:])) for leaf in leaves(self.x))
        classes = "" if self.classes is None else f", {self.classes} classes"
        return f"Split({len(self)} examples, inputs {shapes}{classes})"

    @cached_property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with any value, shape or type of the data and its normalisation."""
        digest = hashlib.sha256(
            repr((self.classes, *(m is not None and m.tolist() for m in (self.mean, self.std)))).encode()
        )
        for leaf in leaves((self.x, self.y)):
            digest.update(f"{leaf.dtype}{tuple(leaf.shape)}".encode())
            digest.update(leaf.contiguous().cpu().reshape(-1).view(torch.uint8).numpy())
        return digest.hexdigest()[:16]

    def batch(self, index: slice | Tensor, moves: Tensor | None = None) -> tuple[Tree, Tree]:
        """The prepared inputs and the targets of some examples.

        Args:
            index: which examples.
            moves: how their images are cropped and flipped, as from `draw_moves`.
        """
        x, y = (map_leaves(lambda leaf: leaf[index], tree) for tree in (self.x, self.y))
        if moves is not None:
            x = apply_moves(x, moves[index], self.crop)
        return map_leaves(self._prepare, x), y

    def batches(self, size: int) -> Iterator[tuple[Tree, Tree]]:
        """All examples in order, `size` at a time; a lone last example joins the batch before it."""
        return (self.batch(part) for part in slices(len(self), size))

    def steps(self, size: int) -> int:
        """The number of batches of an epoch."""
        return len(slices(len(self), size))

    def epoch(
        self, size: int, rng: np.random.Generator, start: int = 0, before: Callable[[int], None] = lambda index: None
    ) -> Iterator[tuple[Tree, Tree]]:
        """The batches of an epoch: all examples in an order drawn from `rng`, cropped and flipped if set.

        Args:
            size: examples per batch.
            rng: draws the order, the crops and the flips.
            start: the first batch to give.
            before: not called, as reading a batch draws nothing; see `Stream.epoch`.
        """
        device = leaves(self.x)[0].device
        order = torch.from_numpy(rng.permutation(len(self))).to(device)
        moves = draw_moves(rng, len(self), self.crop, self.flip)
        moves = None if moves is None else moves.to(device)
        return (self.batch(order[part], moves) for part in slices(len(self), size)[start:])

    def augmented(self, crop: int = 0, flip: bool = False) -> "Split":
        """The split with images that are cropped and flipped at random in training.

        Args:
            crop: pixels of padding, and so how far the crop moves.
            flip: whether images are mirrored at random.

        Raises:
            PathfinderError: if the inputs are not images, or the crop is as large as they are.
        """
        if (crop or flip) and not (isinstance(self.x, Tensor) and self.x.ndim == 4):
            shapes = ", ".join(str(tuple(leaf.shape[1:])) for leaf in leaves(self.x))
            raise PathfinderError(f"crop and flip need images (channels, height, width), got inputs of shape {shapes}.")
        if crop and not 0 < crop < min(self.x.shape[2:]):
            raise PathfinderError(
                f"crop must be 0 or more and less than the images' side, {self.x.shape[2:]}, got {crop}."
            )
        return replace(self, crop=crop, flip=flip)

    def augment_once(self, seed: int) -> "Split":
        """The split with images that are cropped and flipped once, at random by `seed`, as `epoch` does.

        The copy of the last seed is kept: every evaluator of a data set shares it.
        """
        if seed not in self._moved:
            moves = draw_moves(np.random.default_rng(seed), len(self), self.crop, self.flip)
            if moves is None:
                return self
            self._moved.clear()
            x = apply_moves(self.x, moves.to(self.x.device), self.crop).contiguous()
            self._moved[seed] = replace(self, x=x, crop=0, flip=False)
        return self._moved[seed]

    def subset(self, examples: int | None, seed: int) -> "Split":
        """`examples` of the split, drawn by `seed` and kept in order; the split itself if it has no more.

        Args:
            examples: how many; all if None.
            seed: draws them.
        """
        if examples is None or examples >= len(self):
            return self
        if examples < 1:
            raise PathfinderError(f"the number of examples must be 1 or more, got {examples}.")
        return self._take(self._draw(examples, seed))

    def divide(self, examples: int, seed: int) -> tuple["Split", "Split"]:
        """The split without `examples` that are drawn by `seed`, and these: for validation."""
        if not 0 < examples < len(self):
            raise PathfinderError(f"a validation split must leave some of {len(self)} examples, got {examples}.")
        held = self._draw(examples, seed)
        return self._take(np.setdiff1d(np.arange(len(self)), held)), self._take(held)

    def to(self, device: str | torch.device) -> "Split":
        """The split with its tensors on a device; the same object at each call, so that the copy exists once.

        Raises:
            PathfinderError: if the data is float64 and the device has none.
        """
        device = with_index(device)
        tensors = leaves((self.x, self.y, *(part for part in (self.mean, self.std) if part is not None)))
        if all(tensor.device == device for tensor in tensors):
            return self
        if device not in self._placed:
            check_float64(device, "the data", tensors)
            trees = (self.x, self.y, self.mean, self.std)
            x, y, mean, std = (map_leaves(lambda leaf: leaf.to(device), tree) for tree in trees)
            self._placed[device] = replace(self, x=x, y=y, mean=mean, std=std)
        return self._placed[device]

    @cached_property
    def _placed(self) -> dict[torch.device, "Split"]:
        """The copies of the split on other devices."""
        return {}

    @cached_property
    def _moved(self) -> dict[int, "Split"]:
        """The split as `augment_once` gave it last, by its seed."""
        return {}

    def _draw(self, examples: int, seed: int) -> np.ndarray:
        return np.sort(np.random.default_rng(seed).choice(len(self), examples, replace=False))

    def _take(self, chosen: np.ndarray) -> "Split":
        index = torch.from_numpy(chosen)
        return replace(
            self, x=map_leaves(lambda leaf: leaf[index], self.x), y=map_leaves(lambda leaf: leaf[index], self.y)
        )

    def _prepare(self, x: Tensor) -> Tensor:
        if x.dtype != torch.uint8 or self.mean is None or self.std is None:
            return x
        shape = (-1,) + (1,) * (x.ndim - 2)
        return x.float().div_(255).sub_(self.mean.view(shape)).div_(self.std.view(shape))


def raw_images(source: Any) -> list[Tensor]:
    """The images of `uint8` in a source that no mean and deviation turn into numbers."""
    if getattr(source, "mean", None) is not None:
        return []
    return [x for x in leaves(getattr(source, "x", ())) if x.dtype == torch.uint8 and x.ndim == 4]


@contextmanager
def explain_dtype_errors(source: Any, dtype: torch.dtype) -> Generator[None, None, None]:
    """Turn an error of a network on inputs of another precision than its weights into one line that says so."""
    try:
        yield
    except RuntimeError as error:
        other = [x for x in leaves(getattr(source, "x", ())) if x.is_floating_point() and x.dtype != dtype]
        other += raw_images(source)
        if not other or isinstance(error, torch.OutOfMemoryError):
            raise
        raise PathfinderError(
            f"the network fails on inputs of {other[0].dtype}, its weights are {dtype} ({reason(error)}); convert x "
            f"with .to({dtype})."
        ) from error
