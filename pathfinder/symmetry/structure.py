"""Which hidden units of a network can be exchanged without changing its outputs.

One pass of a few inputs runs through a dispatch mode that sees every ATen operation. Each index along each axis of a
tensor belongs to a unit; an operation joins the units that must move together (the outputs of a layer with the inputs
of the next, both sides of an addition) and fixes those that cannot move (inputs, outputs, pixels). Units that lie at
the same places form a group, and those of a group can be exchanged.
"""

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from pathfinder.compute import plain_kernels
from pathfinder.data.batching import count, map_leaves, slices
from pathfinder.errors import PathfinderError, brief, list_names
from pathfinder.symmetry.groups import Group
from pathfinder.symmetry.labels import Labels
from pathfinder.symmetry.proof import disturb, random_permutations, relative_gap, revealing_permutations
from pathfinder.symmetry.trace import Follow, call, in_float64, outputs
from pathfinder.weights.tensors import check_module, copy_module, tensors_of

_AT_ONCE = 64  # examples whose activations are recorded in one pass

AnyStructure = TypeVar("AnyStructure", bound="Structure")


class Structure:
    """The permutation symmetry of a network: its groups of hidden units that can be exchanged.

    Make one with `Structure.of`, which finds the groups from a few inputs, or with `Structure.by_hand` from a table;
    `prove` then checks it. Code that these inputs do not reach is not seen: a module that branches on its input may run
    operations on other inputs for which the groups do not hold. Use inputs that take every branch, or a table.
    Recurrent networks with several layers or both directions give fewer groups than they have.

    Args:
        groups: the groups of units.

    Attributes:
        groups: the same, as a tuple.

    Example:
        >>> import torch
        >>> from pathfinder import Structure
        >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> structure = Structure.of(module, torch.randn(2, 4))
        >>> [(place.tensor, place.axis) for place in structure.groups[0].places]
        [('0.weight', 0), ('0.bias', 0), ('2.weight', 1)]
        >>> structure.prove(module, torch.randn(2, 4))
        ProvedStructure(groups=1, units=8)
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = tuple(groups)
        self._proof: ProvedStructure | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(groups={len(self.groups)}, units={sum(self.sizes)})"

    @staticmethod
    def of(module: nn.Module, inputs: Any) -> "Structure":
        """Find the groups of a network.

        Args:
            module: the network; it is not changed.
            inputs: a few inputs as the module takes them: a tensor, or a tuple or dict of its arguments.

        Returns:
            The structure, not yet proved.

        Raises:
            PathfinderError: if an operation has no rule (the message names the module), or no units can be exchanged.
        """
        check_module(module)
        x = in_float64(inputs)
        twin = copy_module(module).cpu().double().eval()
        labels = Labels(tensors_of(twin))
        with torch.no_grad(), plain_kernels(twin), Follow(labels).through(twin):
            results = outputs(twin, x)
        for result in results:
            labels.fix(labels.axes(result))
        structure = Structure([Group.of(units) for units in labels.groups()])
        if not structure.groups:
            raise PathfinderError(
                f"{type(module).__name__} has no hidden units that can be permuted; nothing to align."
            )
        return structure

    @staticmethod
    def by_hand(table: Mapping[str, Sequence[str]], module: nn.Module) -> "Structure":
        """Build a structure from a table such as {"hidden": ["0.weight:0", "0.bias:0", "2.weight:1"]}.

        Args:
            table: for each group, the axes TENSOR:AXIS along which its units lie. An axis that is longer than the
                shortest of its group holds a block of indices for each unit.
            module: the network; it is not changed.

        Returns:
            The structure, not yet proved.

        Raises:
            PathfinderError: if the module has no such axis, or the lengths do not fit.
        """
        check_module(module)
        tensors = tensors_of(module)
        if not isinstance(table, Mapping) or not all(
            isinstance(axes, list | tuple) and all(isinstance(axis, str) for axis in axes) for axes in table.values()
        ):
            raise PathfinderError(
                'a structure must be a table of lists such as {"hidden": ["0.weight:0", "2.weight:1"]}, got '
                f"{brief(reprlib.repr(table))}."
            )
        return Structure([Group.parse(name, axes, tensors) for name, axes in table.items()])

    @property
    def sizes(self) -> list[int]:
        """The number of units of each group."""
        return [len(group) for group in self.groups]

    @property
    def proof(self) -> "ProvedStructure | None":
        """What the last call of `prove` returned; None before the first, or if it failed."""
        return self._proof

    @property
    def proved(self) -> bool:
        """Whether the last call of `prove` succeeded."""
        return self.proof is not None

    def restrict(self: AnyStructure, names: set[str]) -> AnyStructure:
        """The structure with only the groups that lie entirely in these tensors.

        Raises:
            PathfinderError: if there are none.
        """
        groups = [group for group in self.groups if all(place.tensor in names for place in group.places)]
        if not groups:
            other = list_names(sorted({place.tensor for group in self.groups for place in group.places} - names))
            raise PathfinderError(
                f"every group of units also lies in {other}, which are not in the space; nothing can be permuted."
            )
        return self if len(groups) == len(self.groups) else type(self)(groups)

    def permute(self, tensors: Mapping[str, Tensor], permutations: Sequence[Tensor]) -> dict[str, Tensor]:
        """The tensors with the units of each group in another order: unit i is what unit permutation[i] was.

        Args:
            tensors: by name; those without a group are returned as they are.
            permutations: for each group, (units,).
        """
        permuted = dict(tensors)
        for group, permutation in zip(self.groups, permutations, strict=True):
            for place in group.places:
                if place.tensor in permuted:
                    permuted[place.tensor] = place.permute(permuted[place.tensor], permutation)
        return permuted

    def random_permutations(self, seed: int) -> list[Tensor]:
        """A random permutation of each group."""
        return random_permutations(self.sizes, seed)

    def activations(self, module: nn.Module, inputs: Any) -> list[list[Tensor]]:
        """The activations of each group: for each layer that takes its units, (samples, units) over some inputs.

        Raises:
            PathfinderError: if no layer takes the units of a group one by one.
        """
        twin = copy_module(module).eval()
        found: list[list[list[Tensor]]] = []
        for part in slices(count(inputs), _AT_ONCE):  # every activation of a part is kept until its end
            labels = Labels(tensors_of(twin), recording=True)
            with torch.no_grad(), plain_kernels(twin), Follow(labels).through(twin):
                call(twin, map_leaves(lambda leaf, part=part: leaf[part], inputs))
            first = [group.places[0] for group in self.groups]
            found.append([labels.activations(place.tensor, place.axis, place.index) for place in first])
        for group, layers in zip(self.groups, found[0], strict=True):
            if not layers:
                raise PathfinderError(
                    f"no layer is seen to take the units of `{group.name}` one by one; match their weights instead."
                )
        return [[torch.cat(parts) for parts in zip(*layers, strict=True)] for layers in zip(*found, strict=True)]

    def prove(self, module: nn.Module, inputs: Any, tolerance: float = 1e-9) -> "ProvedStructure":
        """Check in float64 that a network gives the same outputs with its units permuted.

        Weights and running statistics are first changed a little, always by the same amounts: a layer as it is
        initialised (ones, zeros) hides what belongs to its units.

        Args:
            module: the network; it is not changed.
            inputs: a few inputs, as for `of`.
            tolerance: largest difference allowed, relative to the largest output.

        Returns:
            The same groups, as `match_weights` and `match_activations` take them.

        Raises:
            PathfinderError: if outputs differ, or are all zero, NaN or infinite, which proves nothing.
        """
        self._proof = None
        twin = copy_module(module).cpu().double().eval()
        x, name = in_float64(inputs), type(module).__name__
        with torch.no_grad():
            disturb(twin)
            before = [leaf.clone() for leaf in outputs(twin, x)]
            if not any(leaf[leaf.isfinite()].any() for leaf in before):
                raise PathfinderError(
                    f"{name} gives only zeros, NaN or infinity on these inputs, which proves nothing; pass others."
                )
            for permutations in revealing_permutations(self.sizes):
                self._permute_in_place(twin, permutations)
                gap = max(relative_gap(*both) for both in zip(outputs(twin, x), before, strict=True))
                if gap > tolerance:
                    raise PathfinderError(
                        f"{name} with its units permuted gives other outputs (relative {gap:.1e}), so the structure is "
                        "wrong; write it as a table of TENSOR:AXIS for each group of units."
                    )
                self._permute_in_place(twin, [permutation.argsort() for permutation in permutations])  # back
        self._proof = ProvedStructure(self.groups)
        return self._proof

    permuted, drawn, heard = permute, random_permutations, activations  # earlier names, kept for users' scripts

    def _permute_in_place(self, module: nn.Module, permutations: Sequence[Tensor]) -> None:
        """Permute the units of a module, one tensor at a time to save memory."""
        tensors = tensors_of(module)
        for group, permutation in zip(self.groups, permutations, strict=True):
            for place in group.places:
                if place.tensor in tensors:
                    tensors[place.tensor].copy_(place.permute(tensors[place.tensor], permutation))


class ProvedStructure(Structure):
    """A structure that `Structure.prove` has checked; only `prove` makes one."""

    @property
    def proof(self) -> "ProvedStructure":
        """The structure itself."""
        return self
