"""Units: which axis of which tensor moves with which group of hidden units, found by following one forward pass.

Every index along every axis of every tensor begins as a unit of its own. A dispatch mode then sees each ATen operation
as it runs, however the module is written, and joins what must move together: the outputs of a layer with the inputs
of the next, the two sides of a residual addition, the pixels of a channel that are flattened. What the outside can tell
apart, the network's inputs and outputs, is fixed. What is left falls into groups of units that can be exchanged.
"""

import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from pathfinder.compute import plain_kernels
from pathfinder.data.batching import slices
from pathfinder.data.trees import count, has_tensors, mapped, tensors_from
from pathfinder.errors import PathfinderError, brief, listed, reason
from pathfinder.symmetry.labels import Found, Labels
from pathfinder.symmetry.proof import apart, disturb, drawn, orders
from pathfinder.symmetry.rules import tensors_in
from pathfinder.symmetry.trace import Follow
from pathfinder.weights.tensors import copied, modular, tensors_of

_AT_ONCE = 64  # examples whose activations are heard in one pass


@dataclass(frozen=True)
class Place:
    """Where a group of units lies.

    Attributes:
        tensor: the name of a parameter or buffer.
        axis: of the tensor.
        index: (units, block), the indices along it that belong to each unit.
    """

    tensor: str
    axis: int
    index: Tensor


@dataclass(frozen=True)
class Group:
    """Units that can be exchanged with each other, if that is done at all places at once."""

    places: tuple[Place, ...]

    def __len__(self) -> int:
        return len(self.places[0].index)

    @property
    def name(self) -> str:
        """The tensor whose outputs the units are."""
        return next((place.tensor for place in self.places if place.axis == 0), self.places[0].tensor)


class Structure:
    """The permutation symmetry of a network on the inputs it was found and proved with: its groups of units.

    What these inputs do not reach is not seen: a module that branches on its input may run other operations on others,
    where the groups need not hold. Give such a module inputs that take every branch, or a structure by hand.
    Recurrent networks of several layers, or of both directions, give fewer groups than could move.

    Made by `Structure.of` a module, or by hand of a table such as
    {"hidden": ["0.weight:0", "0.bias:0", "2.weight:1"]}: the axes, TENSOR:AXIS, along which the units of a group lie.
    An axis that is longer than the shortest of its group holds a block of indices for each unit.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = tuple(groups)
        self.proved = False

    @classmethod
    def of(cls, module: nn.Module, inputs: Any) -> "Structure":
        """Found by itself.

        Args:
            module: the network; it is read, never changed.
            inputs: a few inputs as the module takes them: a tensor, or a tuple or dict of its arguments.

        Raises:
            PathfinderError: if an operation is not known (the message names the module), or no units can be exchanged.
        """
        modular(module)
        x = _doubled(inputs)
        twin = copied(module).cpu().double().eval()
        labels = Labels(tensors_of(twin))
        with torch.no_grad(), plain_kernels(twin), Follow(labels).through(twin):
            outputs = _outputs(twin, x)
        for output in outputs:
            labels.fix(labels.axes(output))
        structure = cls([_group(units) for units in labels.groups()])
        if not structure.groups:
            raise PathfinderError(
                f"{type(module).__name__} has no hidden units that can be permuted; nothing to align."
            )
        return structure

    @classmethod
    def by_hand(cls, table: Mapping[str, Sequence[str]], module: nn.Module) -> "Structure":
        """Of a table of axes for each group.

        Raises:
            PathfinderError: if the module has no such axis, or lengths do not fit.
        """
        modular(module)
        tensors = tensors_of(module)
        if not isinstance(table, Mapping) or not all(
            isinstance(axes, list | tuple) and all(isinstance(axis, str) for axis in axes) for axes in table.values()
        ):
            raise PathfinderError(
                'a structure by hand must be a table of lists such as {"hidden": ["0.weight:0", "2.weight:1"]}, got '
                f"{brief(reprlib.repr(table))}."
            )
        return cls([_written(name, axes, tensors) for name, axes in table.items()])

    def permuted(self, tensors: Mapping[str, Tensor], permutations: Sequence[Tensor]) -> dict[str, Tensor]:
        """Tensors with the units of each group in another order: unit i is what unit permutation[i] was.

        Args:
            tensors: by name; those that no group knows stay as they are.
            permutations: for each group, (units,).
        """
        moved = dict(tensors)
        for group, permutation in zip(self.groups, permutations, strict=True):
            for place in group.places:
                if place.tensor in moved:
                    moved[place.tensor] = reordered(moved[place.tensor], place, permutation)
        return moved

    def drawn(self, seed: int) -> list[Tensor]:
        """A random permutation of each group."""
        return drawn(self._sizes, seed)

    @property
    def _sizes(self) -> list[int]:
        return [len(group) for group in self.groups]

    def heard(self, module: nn.Module, inputs: Any) -> list[list[Tensor]]:
        """What each group hands on: for each layer that takes its units, (samples, units) over some inputs."""
        twin = copied(module).eval()
        heard: list[list[list[Tensor]]] = []
        for part in slices(count(inputs), _AT_ONCE):  # every activation of a part is kept until its end
            labels = Labels(tensors_of(twin), recording=True)
            with torch.no_grad(), plain_kernels(twin), Follow(labels).through(twin):
                _called(twin, mapped(lambda leaf, part=part: leaf[part], inputs))
            heard.append([labels.activations(*_first(group)) for group in self.groups])
        for group, said in zip(self.groups, heard[0], strict=True):
            if not said:
                raise PathfinderError(
                    f"no layer is seen to take the units of `{group.name}` one by one; match their weights instead."
                )
        return [[torch.cat(parts) for parts in zip(*said, strict=True)] for said in zip(*heard, strict=True)]

    def prove(self, module: nn.Module, inputs: Any, tolerance: float = 1e-9) -> None:
        """Check in float64 that the network gives the same outputs with its units permuted.

        Its weights and running statistics are disturbed first, by the same amounts always: a layer as it is initialised
        (ones, zeros) hides what moves along with it. `proved` is True afterwards.

        Raises:
            PathfinderError: if it does not, or gives nothing but zeros, NaN or infinity, which prove nothing.
        """
        self.proved = False
        twin = copied(module).cpu().double().eval()
        x, name = _doubled(inputs), type(module).__name__
        with torch.no_grad():
            disturb(twin)
            before = [leaf.clone() for leaf in _outputs(twin, x)]
            if not any(leaf[leaf.isfinite()].any() for leaf in before):
                raise PathfinderError(
                    f"{name} gives only zeros, NaN or infinity on these inputs, which prove nothing; pass others."
                )
            for permutations in orders(self._sizes):
                self._move(twin, permutations)
                gap = max(apart(*both) for both in zip(_outputs(twin, x), before, strict=True))
                if gap > tolerance:
                    raise PathfinderError(
                        f"{name} with its units permuted gives other outputs (relative {gap:.1e}), so the structure is "
                        "wrong; give it by hand: a table of TENSOR:AXIS for each group of units."
                    )
                self._move(twin, [permutation.argsort() for permutation in permutations])  # back
        self.proved = True

    def _move(self, module: nn.Module, permutations: Sequence[Tensor]) -> None:
        """Put the units of a module in another order, in place: a tensor at a time, as the module may be large."""
        tensors = tensors_of(module)
        for group, permutation in zip(self.groups, permutations, strict=True):
            for place in group.places:
                if place.tensor in tensors:
                    tensors[place.tensor].copy_(reordered(tensors[place.tensor], place, permutation))


def reordered(tensor: Tensor, place: Place, permutation: Tensor) -> Tensor:
    """A tensor with the units at a place in another order."""
    order = torch.arange(tensor.shape[place.axis])
    order[place.index.reshape(-1)] = place.index[permutation].reshape(-1)
    return tensor.index_select(place.axis, order.to(tensor.device))


def _called(module: nn.Module, x: Any) -> Any:
    """The module's output on inputs that may be a tensor, or a tuple or dict of its arguments."""
    try:
        if isinstance(x, Mapping):
            return module(**x)
        return module(*x) if isinstance(x, tuple) else module(x)
    except PathfinderError:
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, AssertionError) as error:
        raise PathfinderError(
            f"{type(module).__name__} cannot be followed on these inputs in float64 ({reason(error)}); pass inputs it "
            "takes, or give the structure by hand."
        ) from error


def _outputs(module: nn.Module, x: Any) -> list[Tensor]:
    """Its outputs that are numbers; what it gives beside them is no matter."""
    return [tensor for tensor in tensors_in(_called(module, x)) if tensor.is_floating_point()]


def _doubled(inputs: Any) -> Any:
    inputs = tensors_from(inputs)
    if not has_tensors(inputs):
        raise PathfinderError(f"inputs must be a tensor, or a tuple or dict of tensors, got {type(inputs).__name__}.")
    return mapped(lambda leaf: leaf.detach().cpu().double() if leaf.is_floating_point() else leaf.cpu(), inputs)


def _group(units: list[Found]) -> Group:
    """The group of units that lie at the same places."""
    return Group(
        tuple(
            Place(tensor, axis, torch.tensor([unit[i][2] for unit in units]))
            for i, (tensor, axis, _) in enumerate(units[0])
        )
    )


def _first(group: Group) -> tuple[str, int, Tensor]:
    place = group.places[0]
    return place.tensor, place.axis, place.index


def _written(name: str, axes: Sequence[str], tensors: Mapping[str, Tensor]) -> Group:
    lengths = {}
    for written in axes:
        tensor, _, axis = written.rpartition(":")
        if tensor not in tensors or not axis.isdigit() or int(axis) >= tensors[tensor].ndim:
            raise PathfinderError(f"group `{name}` names `{written}`, but that is no axis TENSOR:AXIS of the network.")
        lengths[tensor, int(axis)] = tensors[tensor].shape[int(axis)]
    units = min(lengths.values(), default=0)
    if units < 2 or any(length % units for length in lengths.values()):
        raise PathfinderError(f"group `{name}` needs axes whose lengths are multiples of the shortest, got {lengths}.")
    return Group(tuple(Place(t, axis, torch.arange(n).view(units, -1)) for (t, axis), n in lengths.items()))


def known(structure: Structure, names: set[str]) -> Structure:
    """The groups that lie in these tensors alone.

    Raises:
        PathfinderError: if none does.
    """
    groups = [group for group in structure.groups if all(place.tensor in names for place in group.places)]
    if not groups:
        held = listed(sorted({p.tensor for g in structure.groups for p in g.places} - names))
        raise PathfinderError(f"every group of units also lies in {held}, which do not move; nothing can be permuted.")
    if len(groups) == len(structure.groups):
        return structure
    kept = Structure(groups)
    kept.proved = structure.proved
    return kept
