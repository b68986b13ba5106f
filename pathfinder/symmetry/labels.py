"""Labels: which unit each index along each axis of a tensor belongs to, and which units are one."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

Axes = list[np.ndarray]  # for each axis of a tensor, the unit of every index along it
Found = list[tuple[str, int, list[int]]]  # where a unit lies: tensor, axis, indices
FIXED = 0  # the unit of what cannot move
_PIXELS = 64  # of each example that activations are sampled at


def fixed(shape: Sequence[int]) -> Axes:
    """Axes of this length along which nothing moves."""
    return [np.full(n, FIXED) for n in shape]


class _Units:
    """A union-find over units; unit 0 is fixed."""

    def __init__(self) -> None:
        self.parent = np.zeros(1, dtype=np.int64)

    def fresh(self, count: int) -> np.ndarray:
        first = len(self.parent)
        self.parent = np.concatenate([self.parent, np.arange(first, first + count)])
        return np.arange(first, first + count)

    def roots(self, units: np.ndarray) -> np.ndarray:
        found = self.parent[units]
        while not np.array_equal(found, above := self.parent[found]):
            found = above
        self.parent[units] = found
        return found

    def join(self, a: np.ndarray, b: np.ndarray) -> None:
        """Each unit of `a` becomes one with the unit of `b` at the same index."""
        for one, other in zip(a.tolist(), b.tolist(), strict=True):
            low, high = sorted(self.roots(np.array([one, other])).tolist())
            self.parent[high] = low


class Labels:
    """The units along the axes of tensors, those of a network's own tensors to begin with.

    Args:
        tensors: parameters and buffers by name.
        listening: whether `hear` keeps what layers are handed.
    """

    def __init__(self, tensors: Mapping[str, Tensor], listening: bool = False) -> None:
        self.units, self.listening = _Units(), listening
        self._own = {id(tensor) for tensor in tensors.values()}
        self._known: dict[int, tuple[Tensor, Axes]] = {}  # by id; the tensor is kept so that no other gets its id
        self._names: dict[str, Tensor] = {}
        self._used: set[int] = set()
        self._samples: list[tuple[np.ndarray, Tensor]] = []
        for name, tensor in tensors.items():
            if tensor.ndim and tensor.is_floating_point():  # whole numbers are indices, whose values know the order
                self._names[name] = tensor
                self.tell(tensor, self.fresh(tensor.shape))

    def fresh(self, shape: Sequence[int]) -> Axes:
        """Axes of this length with units of their own."""
        return [self.units.fresh(n) for n in shape]

    def use(self, tensor: Tensor) -> bool:
        """Note that an operation takes a tensor, and say whether anything along it can move."""
        self._used.add(id(tensor))
        return any(self.units.roots(axis).any() for axis in self.axes(tensor))

    def made(self, tensors: Sequence[Tensor], of: Sequence[Tensor]) -> None:
        """Note what an operation made of what: of the network's own tensors alone comes another of its own."""
        if of and all(id(tensor) in self._own for tensor in of):
            self._own |= {id(tensor) for tensor in tensors}

    def knows(self, tensor: Tensor) -> bool:
        """Whether the units of a tensor were told."""
        return id(tensor) in self._known

    def tell(self, tensor: Tensor, axes: Axes) -> None:
        """Say what the units along the axes of a tensor are."""
        self._known[id(tensor)] = tensor, axes

    def axes(self, tensor: Tensor) -> Axes:
        """The units along the axes of a tensor; fixed where nothing is known of it."""
        if id(tensor) not in self._known:
            self.tell(tensor, fixed(tensor.shape))
        return self._known[id(tensor)][1]

    def join(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Make the units of two axes of equal length one, and give them."""
        if a is not b:
            self.units.join(a, b)
        return a

    def join_all(self, axes: Axes) -> np.ndarray:
        """Make the units of one axis or more one, and give them."""
        for other in axes[1:]:
            self.join(axes[0], other)
        return axes[0]

    def fix(self, axes: Axes) -> None:
        """Say that units cannot move."""
        for axis in axes:
            self.units.join(axis, np.zeros_like(axis))

    def blocks(self, axis: np.ndarray, units: int) -> np.ndarray:
        """Join each of `units` consecutive blocks of an axis to one unit, and give these."""
        rows = axis.reshape(units, -1)
        for column in rows.T[1:]:
            self.units.join(rows[:, 0], column)
        return rows[:, 0]

    def hear(self, tensor: Tensor, axis: int) -> None:
        """Keep a sample of what is handed to a layer: the units along an axis of its input, and (samples, units).

        The network's own tensors, and what is made of them alone, are no activations.
        """
        if self.listening and id(tensor) not in self._own:
            values = tensor.movedim(axis, -1)
            if values.ndim > 2:  # some of the pixels of each example
                pixels = values.flatten(1, -2)
                values = pixels[:, :: max(pixels.shape[1] // _PIXELS, 1)]
            self._samples.append((self.axes(tensor)[axis], values.flatten(0, -2).clone()))

    def said(self, tensor: str, axis: int, index: Tensor) -> list[Tensor]:
        """The samples of the units that lie at (units, block) indices of an axis, in their order; none if these are not
        told apart here."""
        own = self.units.roots(self.axes(self._names[tensor])[axis])[index[:, 0].numpy()]
        found = []
        if FIXED in own or len(set(own.tolist())) < len(own):
            return found
        for units, values in self._samples:
            roots = self.units.roots(units)
            if np.isin(own, roots).all():
                where = torch.from_numpy(np.stack([np.flatnonzero(roots == unit) for unit in own]))
                found.append(values[:, where.T].flatten(0, 1))
        return found

    def alike(self) -> list[list[Found]]:
        """The units that lie at the same places, in the order of the tensors; those that are alone left out."""
        places: dict[int, Found] = {}
        for name, tensor in self._names.items():
            if id(tensor) not in self._used:
                continue
            for axis, units in enumerate(self.axes(tensor)):
                own: dict[int, list[int]] = {}
                for index, unit in enumerate(self.units.roots(units).tolist()):
                    own.setdefault(unit, []).append(index)
                for unit, indices in own.items():
                    places.setdefault(unit, []).append((name, axis, indices))
        places.pop(FIXED, None)
        groups: dict[tuple, list[Found]] = {}
        for found in places.values():
            groups.setdefault(tuple((name, axis, len(indices)) for name, axis, indices in found), []).append(found)
        return [group for group in groups.values() if len(group) > 1]
