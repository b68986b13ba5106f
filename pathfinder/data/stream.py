"""Stream: batches that do not fit in memory together, the same on every pass."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import count as count_up
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfinder.compute import check_float64, with_index
from pathfinder.data.batching import Tree, checksum, count, leaves, map_leaves, tensors_from
from pathfinder.errors import PathfinderError

_REPEAT = (
    "scores need the same batches on every pass: turn shuffling and augmentation off, and give the loader of the "
    "training as batch_norm_data."
)


class Stream:
    """An iterable of batches (inputs, targets) that do not fit in memory together, such as a DataLoader.

    Scores compare points over the same examples, so every pass must give the same batches: `batches` keeps a checksum
    of each batch of the first pass, and raises an error if a later one differs.

    Args:
        source: what is iterated over, from the start on every pass.
        limit: how many examples are used; all if not given.
        device: where batches are moved.

    Raises:
        PathfinderError: if the source is not an iterable of batches.

    >>> stream = Stream([(torch.zeros(8, 3), torch.zeros(8)), (torch.ones(4, 3), torch.ones(4))])
    >>> stream, len(stream)
    (Stream(list), 12)
    """

    classes = None
    input_shape = None
    crop, flip = 0, False

    def __init__(self, source: Iterable, limit: int | None = None, device: str | torch.device = "cpu") -> None:
        if isinstance(source, str | bytes | Mapping | Tensor | np.ndarray) or not (
            hasattr(source, "__iter__") or hasattr(source, "__getitem__")
        ):
            raise PathfinderError(
                f"data must be a pair (x, y) of tensors, a Split, or batches of such, got {type(source).__name__}."
            )
        self.source, self.limit, self.device = source, limit, with_index(device)
        self._sums: list[int] = []
        self._examples: int | None = None  # known after the first whole pass

    def __len__(self) -> int:
        if self._examples is None:
            for _ in self.batches():
                pass
        assert self._examples is not None
        return self._examples

    def __repr__(self) -> str:
        limit = "" if self.limit is None else f", first {self.limit} examples"
        return f"Stream({type(self.source).__name__}{limit})"

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that change with the batches of the first pass, which it makes if needed."""
        len(self)
        return hashlib.sha256(repr(self._sums).encode()).hexdigest()[:16]

    def batches(self, size: int | None = None) -> Iterator[tuple[Tree, Tree]]:
        """The source's own batches, up to `limit` examples; their size is the source's."""
        passed, seen = 0, 0
        for x, y in self._cut():
            batch = self._move((x, y))  # the copy runs while the checksum is computed
            self._check(passed, checksum((x, y)))
            passed, seen = passed + 1, seen + count(x)
            yield batch
        if seen == 0:
            raise PathfinderError("a stream of batches gave no example; pass a list or a DataLoader, not a generator.")
        if self._examples is not None and passed != len(self._sums):
            raise PathfinderError(f"a stream gave {len(self._sums)} batches at first and now {passed}; {_REPEAT}")
        self._examples = seen

    def steps(self, size: int) -> int:
        """The number of batches of an epoch."""
        try:
            return len(self.source)  # ty: ignore[invalid-argument-type]
        except TypeError as error:  # every DataLoader has a length, that of an IterableDataset fails
            raise PathfinderError(
                "a stream to fit on must have a length (number of batches); pass a list, or a DataLoader of a data set "
                "that has a length."
            ) from error

    def epoch(
        self, size: int, rng: np.random.Generator, start: int = 0, before: Callable[[int], None] = lambda index: None
    ) -> Iterator[tuple[Tree, Tree]]:
        """The source's own batches in its own order, from batch `start` on, with inputs that may be changed.

        Args:
            size, rng: not used; see `Split.epoch`.
            start: the first batch to give; those before it are read all the same.
            before: called with the number of each batch but the first before it is read.
        """
        batches = iter(self.source)
        for index in count_up():
            if index:
                before(index)
            batch = next(batches, None)
            if batch is None:
                return
            if index >= start:
                x, y = self._move(_pair(batch))
                yield map_leaves(Tensor.clone, x), y

    def subset(self, examples: int | None, seed: int) -> "Stream":
        """The first `examples` of the stream, as drawing others would need reading all of it."""
        return self if examples is None else Stream(self.source, examples, self.device)

    def read_once(self, examples: int) -> "Stream":
        """The first `examples`, read now and held, so that every later pass gives the same."""
        return Stream(list(Stream(self.source, examples)._cut()), device=self.device)

    def augment_once(self, seed: int) -> "Stream":
        """The stream itself, as its source prepares the inputs."""
        return self

    def to(self, device: str | torch.device) -> "Stream":
        """The stream with each batch moved to a device when it is read."""
        return Stream(self.source, self.limit, device)

    def _cut(self) -> Iterator[tuple[Tree, Tree]]:
        left = self.limit
        for batch in self.source:
            x, y = _pair(batch)
            if left is not None:
                x, y = (map_leaves(lambda leaf, most=left: leaf[:most], tree) for tree in (x, y))
                left -= count(x)
            yield x, y
            if left is not None and left <= 0:
                return

    def _move(self, batch: tuple[Tree, Tree]) -> tuple[Tree, Tree]:
        x, y = batch
        return map_leaves(self._place, x), map_leaves(self._place, y)

    def _place(self, leaf: Tensor) -> Tensor:
        """A tensor on the device; to CUDA it is copied from pinned memory, so that nothing waits for the copy."""
        if self.device.type == "cpu" or leaf.device == self.device:
            return leaf.to(self.device)
        check_float64(self.device, "the data", [leaf])
        if self.device.type == "cuda" and leaf.device.type == "cpu":
            return leaf.pin_memory().to(self.device, non_blocking=True)
        return leaf.to(self.device)

    def _check(self, index: int, checksum: int) -> None:
        if self._examples is None and index == len(self._sums):
            self._sums.append(checksum)
        elif index >= len(self._sums) or self._sums[index] != checksum:
            raise PathfinderError(f"batch {index} of a stream differs from the first pass; {_REPEAT}")


def _pair(batch: Any) -> tuple[Tree, Tree]:
    """The inputs and targets of a batch, NumPy arrays as tensors.

    Raises:
        PathfinderError: if it is not a pair of these with a row per example.
    """
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        came = f"{len(batch)} parts" if isinstance(batch, tuple | list) else type(batch).__name__
        raise PathfinderError(
            f"each batch of a stream must be a pair (inputs, targets), got {came}; pass batches of two, their inputs a "
            "tuple or dict where there are several."
        )
    x, y = (tensors_from(part) for part in batch)
    lengths = [len(leaf) if isinstance(leaf, Tensor) and leaf.ndim else None for leaf in leaves((x, y))]
    if None in lengths or len(set(lengths)) != 1:
        kinds = " and ".join(
            f"{type(part).__name__}{f' {tuple(part.shape)}' if isinstance(part, Tensor) else ''}" for part in (x, y)
        )
        raise PathfinderError(
            f"each batch of a stream must hold tensors of as many inputs as targets, got {kinds}; of single examples "
            "make batches, by a DataLoader."
        )
    return x, y
