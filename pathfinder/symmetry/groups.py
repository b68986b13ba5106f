"""A group of units that can be exchanged, and where these units lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.symmetry.labels import Found


@dataclass(frozen=True)
class Place:
    """Where the units of a group lie in one tensor.

    Attributes:
        tensor: the name of a parameter or buffer.
        axis: of the tensor.
        index: (units, block), the indices along the axis that belong to each unit.
    """

    tensor: str
    axis: int
    index: Tensor

    def permute(self, tensor: Tensor, permutation: Tensor) -> Tensor:
        """The tensor with its units in another order."""
        order = torch.arange(tensor.shape[self.axis])
        order[self.index.reshape(-1)] = self.index[permutation].reshape(-1)
        return tensor.index_select(self.axis, order.to(tensor.device))


@dataclass(frozen=True)
class Group:
    """Units that can be exchanged with each other, at all their places at once."""

    places: tuple[Place, ...]

    def __len__(self) -> int:
        return len(self.places[0].index)

    @property
    def name(self) -> str:
        """The tensor whose outputs the units are."""
        return next((place.tensor for place in self.places if place.axis == 0), self.places[0].tensor)

    @staticmethod
    def of(units: Sequence[Found]) -> "Group":
        """The group of units that lie at the same places."""
        first = units[0]
        return Group(
            tuple(
                Place(tensor, axis, torch.tensor([unit[i][2] for unit in units]))
                for i, (tensor, axis, _) in enumerate(first)
            )
        )

    @staticmethod
    def parse(name: str, axes: Sequence[str], tensors: Mapping[str, Tensor]) -> "Group":
        """The group of this name whose units lie along axes written as TENSOR:AXIS.

        Raises:
            PathfinderError: if there is no such axis, or the lengths do not fit.
        """
        lengths = {}
        for text in axes:
            tensor, _, axis = text.rpartition(":")
            if tensor not in tensors or not axis.isdigit() or int(axis) >= tensors[tensor].ndim:
                raise PathfinderError(f"group `{name}` names `{text}`, but the network has no such axis TENSOR:AXIS.")
            lengths[tensor, int(axis)] = tensors[tensor].shape[int(axis)]
        units = min(lengths.values(), default=0)
        if units < 2 or any(length % units for length in lengths.values()):
            raise PathfinderError(
                f"group `{name}` needs axes whose lengths are multiples of the shortest, got {lengths}."
            )
        return Group(tuple(Place(t, axis, torch.arange(n).view(units, -1)) for (t, axis), n in lengths.items()))
