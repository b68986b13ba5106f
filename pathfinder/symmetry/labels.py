"""Which unit each index along each axis of a tensor belongs to, and which units must move together."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

Axes = list[np.ndarray]  # for each axis of a tensor, the unit of every index along it
Found = list[tuple[str, int, list[int]]]  # where a unit lies: tensor, axis, indices
FIXED = 0  # the unit of every index that cannot move
_PIXELS = 64  # of each example whose activations are sampled


def fixed_axes(shape: Sequence[int]) -> Axes:
    """Axes of these lengths along which nothing can move."""
    return [np.full(n, FIXED) for n in shape]


class _Units:
    """Numbered units, some of them joined to one; the root of joined units is the smallest number among them."""

    def __init__(self) -> None:
        self._roots = np.zeros(1, dtype=np.int64)  # of each unit, `_pairs` not yet considered
        self._pairs: list[tuple[np.ndarray, np.ndarray]] = []

    def new(self, count: int) -> np.ndarray:
        first = len(self._roots)
        units = np.arange(first, first + count)
        self._roots = np.concatenate([self._roots, units])
        return units

    def roots(self, units: np.ndarray) -> np.ndarray:
        if self._pairs:
            self._join_pairs()
        return self._roots[units]

    def join(self, a: np.ndarray, b: np.ndarray) -> None:
        """Join each unit of `a` with the unit of `b` at the same index."""
        if len(a) != len(b):
            raise ValueError(f"axes of {len(a)} and {len(b)} units cannot be joined")
        self._pairs.append((a, b))

    def _join_pairs(self) -> None:
        a, b = (self._roots[np.concatenate(side)] for side in zip(*self._pairs, strict=True))
        self._pairs, apart = [], a != b
        if not apart.any():
            return
        a, b = a[apart], b[apart]
        nodes, places = np.unique(np.concatenate([a, b]), return_inverse=True)
        edges = coo_array((np.ones(len(a), dtype=bool), tuple(places.reshape(2, -1))), shape=(len(nodes),) * 2)
        components = connected_components(edges, directed=False)[1]
        smallest = nodes[np.unique(components, return_index=True)[1]]  # `nodes` is sorted
        joined = np.arange(len(self._roots))
        joined[nodes] = smallest[components]
        self._roots = joined[self._roots]


class Labels:
    """The units along the axes of tensors; at first those of a network's own tensors.

    Args:
        tensors: parameters and buffers by name.
        recording: whether `record` keeps the inputs of layers.
    """

    def __init__(self, tensors: Mapping[str, Tensor], recording: bool = False) -> None:
        self.units, self._recording = _Units(), recording
        self._own = {id(tensor) for tensor in tensors.values()}
        self._assigned: dict[int, tuple[Tensor, Axes]] = {}  # by id; keeping the tensor keeps its id from being reused
        self._names: dict[str, Tensor] = {}
        self._used: set[int] = set()
        self._samples: list[tuple[np.ndarray, Tensor]] = []
        for name, tensor in tensors.items():
            if tensor.ndim and tensor.is_floating_point():  # whole numbers are indices, so their order matters
                self._names[name] = tensor
                self.assign(tensor, self.new_axes(tensor.shape))

    def new_axes(self, shape: Sequence[int]) -> Axes:
        """Axes of these lengths with a new unit for every index."""
        return [self.units.new(n) for n in shape]

    def assign(self, tensor: Tensor, axes: Axes) -> None:
        """Set the units along the axes of a tensor."""
        self._assigned[id(tensor)] = tensor, axes

    def has(self, tensor: Tensor) -> bool:
        """Whether units were assigned to a tensor."""
        return id(tensor) in self._assigned

    def axes(self, tensor: Tensor) -> Axes:
        """The units along the axes of a tensor; fixed where none were assigned."""
        if id(tensor) not in self._assigned:
            self.assign(tensor, fixed_axes(tensor.shape))
        return self._assigned[id(tensor)][1]

    def can_move(self, tensor: Tensor) -> bool:
        """Whether anything along the axes of a tensor can move."""
        return any(self.units.roots(axis).any() for axis in self.axes(tensor))

    def note_inputs(self, taken: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        """Note that an operation made tensors of others: made of the network's own alone, they are its own too."""
        self._used |= {id(tensor) for tensor in taken}
        if taken and all(id(tensor) in self._own for tensor in taken):
            self._own |= {id(tensor) for tensor in made}

    def join(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Join the units of two axes of equal length, and return them."""
        if a is not b:
            self.units.join(a, b)
        return a

    def join_all(self, axes: Axes) -> np.ndarray:
        """Join the units of one axis or more, and return them."""
        for other in axes[1:]:
            self.join(axes[0], other)
        return axes[0]

    def fix(self, axes: Axes) -> None:
        """Keep all units along these axes from moving."""
        for axis in axes:
            self.units.join(axis, np.zeros_like(axis))

    def join_blocks(self, axis: np.ndarray, units: int) -> np.ndarray:
        """Join each of `units` consecutive blocks of an axis to one unit, and return these."""
        rows = axis.reshape(units, -1)
        for column in rows.T[1:]:
            self.units.join(rows[:, 0], column)
        return rows[:, 0]

    def record(self, tensor: Tensor, axis: int) -> None:
        """Keep samples of a layer's input: the units along an axis of it, and (samples, units).

        The network's own tensors, and those made of them alone, are no activations.
        """
        if self._recording and id(tensor) not in self._own:
            values = tensor.movedim(axis, -1)
            if values.ndim > 2:  # some of the pixels of each example
                pixels = values.flatten(1, -2)
                values = pixels[:, :: max(pixels.shape[1] // _PIXELS, 1)]
            self._samples.append((self.axes(tensor)[axis], values.flatten(0, -2).clone()))

    def activations(self, tensor: str, axis: int, index: Tensor) -> list[Tensor]:
        """The samples of the units at (units, block) indices of an axis, from each layer that takes them, in order.

        Empty where this pass does not tell these units apart.
        """
        own = self.units.roots(self.axes(self._names[tensor])[axis])[index[:, 0].numpy()]
        if FIXED in own or len(set(own.tolist())) < len(own):
            return []
        found = []
        for units, values in self._samples:
            roots = self.units.roots(units)
            if np.isin(own, roots).all():
                where = torch.from_numpy(np.stack([np.flatnonzero(roots == unit) for unit in own]))
                found.append(values[:, where.T].flatten(0, 1))
        return found

    def groups(self) -> list[list[Found]]:
        """The units that lie at the same places, in the order of the tensors; groups of one are left out."""
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
