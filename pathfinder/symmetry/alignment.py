"""The result of matching two networks: the permuted weights, and the row of alignment.csv."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.compute import to_float64
from pathfinder.symmetry.structure import ProvedStructure


@dataclass(frozen=True)
class Alignment:
    """A network b whose hidden units were permuted to match those of a network a.

    Attributes:
        vector: (weights,), the weights of the aligned b.
        statistics: its running statistics of BatchNorm; None if none were given.
        permutations: for each group of units, (units,): unit i of the aligned b was unit permutation[i] of b.
        objective: of the best order, before the first sweep and after each: the inner product of both networks' weights
            for weight matching, the mean correlation of matched units for activation matching.
        orders: the last objective of each order that was tried.
        structure: the groups of units.
    """

    vector: Float[Tensor, " weights"]
    statistics: Float[Tensor, " statistics"] | None
    permutations: list[Tensor]
    objective: list[float]
    orders: list[float]
    structure: ProvedStructure

    def __repr__(self) -> str:
        first, last = self.objective[0], self.objective[-1]
        return f"Alignment(groups={len(self.permutations)}, units={self.units}, objective={first:.6g} to {last:.6g})"

    @property
    def units(self) -> int:
        """The number of units in all groups."""
        return sum(len(permutation) for permutation in self.permutations)

    def row(self, a: Tensor, b: Tensor) -> dict[str, Any]:
        """The row of alignment.csv: units, sweeps, and before and after alignment, the distance to a and the objective.

        Args:
            a: the weights that b was aligned to.
            b: the weights before they were aligned.
        """
        best = max(self.orders)
        return {
            "groups": len(self.permutations),
            "units": self.units,
            "moved": sum(int((p != torch.arange(len(p))).sum()) for p in self.permutations),
            "sweeps": len(self.objective) - 1,
            "orders": len(self.orders),
            "best_orders": sum(order >= best - 1e-9 * abs(best) for order in self.orders),
            "distance_before": float(to_float64(b - a).norm()),
            "distance": float(to_float64(self.vector - a).norm()),
            "objective_before": self.objective[0],
            "objective": self.objective[-1],
        }
