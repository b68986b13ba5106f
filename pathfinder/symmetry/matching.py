"""Align: put the hidden units of one network in the order of another's; it computes the same function as before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pathfinder.compute import to_float64
from pathfinder.data.sources import Source
from pathfinder.data.trees import count, has_tensors, mapped, tensors_from
from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import vector_of
from pathfinder.geometry.inner import inner
from pathfinder.progress import Progress, silent
from pathfinder.settings import came, of_kind, whole
from pathfinder.symmetry.structure import Group, Place, Structure, known, reordered
from pathfinder.weights.space import WeightSpace, statistics_of

METHODS = ("weights", "activations")
_GAIN = 1e-12  # of the objective, relative, below which a sweep has changed nothing


@dataclass(frozen=True)
class Alignment:
    """A network whose units follow another's.

    Attributes:
        vector: (weights,), the aligned weights.
        statistics: its running statistics of BatchNorm, moved with the units; None where none were given.
        permutations: for each group of units, (units,): where each unit of the aligned network was before.
        objective: after each sweep of the best order, the start first: the inner product of both networks' weights for
            weight matching, the mean correlation of the matched units for activation matching.
        orders: the last objective of each order that was tried.
        structure: the groups of units.
    """

    vector: Float[Tensor, " weights"]
    statistics: Float[Tensor, " statistics"] | None
    permutations: list[Tensor]
    objective: list[float]
    orders: list[float]
    structure: Structure


def structure_of(space: WeightSpace, inputs: Any, by_hand: Mapping[str, Sequence[str]] | None = None) -> Structure:
    """The groups of units that lie in tensors of the space alone, found from a pass of `inputs`, or given by hand, and
    proved with them.

    Raises:
        PathfinderError: if there is none, or the proof fails.
    """
    found = Structure.by_hand(by_hand, space.network) if by_hand else Structure.of(space.network, inputs)
    structure = _moving(space, found)
    structure.prove(space.network, inputs)
    return structure


def aligned(
    space: WeightSpace,
    a: Float[Tensor, " weights"],
    b: Float[Tensor, " weights"],
    data: Source,
    method: str = "weights",
    *,
    statistics: Sequence[Tensor] | None = None,
    structure: Mapping[str, Sequence[str]] | None = None,
    orders: int = 5,
    examples: int = 1000,
    seed: int = 0,
    progress: Progress = silent,
) -> Alignment:
    """b aligned to a by a method of this name, with what it needs taken from a data set.

    Args:
        space, a, b, orders, seed, progress: as for `match_weights`.
        data: the structure is proved on its first examples; activations are those of a few more.
        method: one of `METHODS`.
        statistics: running statistics of BatchNorm at a and b.
        structure: by hand, as for `Structure.by_hand`; found by itself if not given.
        examples: whose activations are compared, drawn by seed.
    """
    found = structure_of(space, first_inputs(data), structure)
    own, theirs = statistics or (None, None)
    if method == "weights":
        settings = {"orders": orders, "seed": seed, "progress": progress}
        return match_weights(space, a, b, structure=found, statistics=theirs, **settings)
    batch = next(iter(data.subset(examples, seed).batches(examples)))[0]
    both = None if own is None or theirs is None else (own, theirs)
    return match_activations(space, a, b, batch, structure=found, statistics=both)


def alignment_row(a: Tensor, b: Tensor, found: Alignment) -> dict[str, Any]:
    """What a table says of an alignment: units, sweeps, the distance of b to a and the objective before and after."""
    best = max(found.orders)
    return {
        "groups": len(found.permutations),
        "units": sum(len(permutation) for permutation in found.permutations),
        "moved": sum(int((p != torch.arange(len(p))).sum()) for p in found.permutations),
        "sweeps": len(found.objective) - 1,
        "orders": len(found.orders),
        "best_orders": sum(order >= best - 1e-9 * abs(best) for order in found.orders),
        "distance_before": float(to_float64(b - a).norm()),
        "distance": float(to_float64(found.vector - a).norm()),
        "objective_before": found.objective[0],
        "objective": found.objective[-1],
    }


def match_weights(
    space: WeightSpace,
    a: Float[Tensor, " weights"],
    b: Float[Tensor, " weights"],
    *,
    inputs: Any = None,
    structure: Structure | None = None,
    statistics: Float[Tensor, " statistics"] | None = None,
    orders: int = 5,
    sweeps: int = 100,
    seed: int = 0,
    progress: Progress = silent,
) -> Alignment:
    """Weight matching by coordinate descent (Ainsworth et al. 2023, algorithm 1).

    One group of units after the other, in random order, is assigned to a's so that the inner product of all weights is
    largest, until a whole sweep changes nothing. A group that lies on two axes of one tensor is assigned with the other
    axis held, and moved only if the inner product grows.

    Args:
        space: the weight space.
        a: the weights to follow.
        b: the weights to align.
        inputs: a few inputs, from which the structure is found and on which it is proved.
        structure: instead, what `structure_of` gives; one made by hand needs inputs too, unless it was proved.
        statistics: b's running statistics of BatchNorm, which move along.
        orders: random orders to try; the best is kept.
        sweeps: at most, for each order.
        seed: draws the orders.
        progress: called as progress(done, total) after each order.

    Raises:
        PathfinderError: if neither inputs nor structure are given, or the structure is refused.
    """
    a, b = _ends(space, a, b)
    whole(seed, "the seed", 0)
    whole(orders, "orders", 1)
    whole(sweeps, "sweeps", 0)
    if statistics is not None:
        statistics_of(statistics, space.statistics_size)
    structure = _given(space, inputs, structure)
    theirs, ours = space.parts(a.detach()), space.parts(b.detach())
    best: tuple[float, list[Tensor], list[float]] | None = None
    tried = []
    for order in range(orders):
        found = _descended(theirs, ours, structure, sweeps, np.random.default_rng([seed, order]))
        tried.append(found[1][-1])
        if best is None or found[1][-1] > best[0]:
            best = found[1][-1], *found
        progress(order + 1, orders)
    return _aligned(space, b, structure, best[1], statistics, best[2], tried)


def match_activations(
    space: WeightSpace,
    a: Float[Tensor, " weights"],
    b: Float[Tensor, " weights"],
    inputs: Any,
    *,
    structure: Structure | None = None,
    statistics: tuple[Tensor, Tensor] | None = None,
) -> Alignment:
    """Activation matching: units are assigned so that the sum of their correlations over the inputs is largest.

    The correlation is cov / (sigma_a sigma_b + 1e-4) of what each unit hands on to the next layer (Jordan et al. 2023,
    section 3; Tatro et al. 2020). Units of b are only reordered by the groups before theirs, so one pass of each
    network serves all groups.

    Args:
        space: the weight space of the module.
        a: the weights to follow.
        b: the weights whose units are permuted.
        inputs: a batch, some hundred examples; the structure is found from the first two.
        structure: as for `match_weights`.
        statistics: running statistics of BatchNorm at a and at b; b's move along.
    """
    a, b = _ends(space, a, b)
    inputs = _inputs(inputs)
    if count(inputs) < 2:
        raise PathfinderError(f"correlations need 2 examples or more, got {count(inputs)}.")
    if space.has_statistics and statistics is None:
        raise PathfinderError("a network with BatchNorm needs statistics=(those at a, those at b).")
    if statistics is not None:
        if not isinstance(statistics, tuple | list) or len(statistics) != 2:
            raise PathfinderError(f"statistics must be a pair, (those at a, those at b), got {came(statistics)}.")
        statistics = tuple(statistics_of(one, space.statistics_size, "each of the statistics") for one in statistics)
    structure = _given(space, mapped(lambda leaf: leaf[:2], inputs), structure)
    own = statistics or (None, None)
    heard = [structure.heard(space.module(theta, given), inputs) for theta, given in zip((a, b), own, strict=True)]
    permutations, correlations = [], []
    for x, y in zip(*heard, strict=True):
        cost = _correlation(x, y)
        rows, columns = linear_sum_assignment(cost, maximize=True)
        permutations.append(torch.from_numpy(columns))
        correlations.append((float(np.trace(cost)) / len(cost), float(cost[rows, columns].mean())))
    units = [len(permutation) for permutation in permutations]
    objective = np.average(correlations, axis=0, weights=units).tolist()
    return _aligned(space, b, structure, permutations, own[1], objective, objective[1:])


def _ends(space: WeightSpace, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """The weights of two networks of a space."""
    of_kind(space, WeightSpace, "space", "make one with WeightSpace(module)")
    return vector_of(a, space.size, "a"), vector_of(b, space.size, "b")


def _inputs(given: Any) -> Any:
    """Inputs as the module takes them, NumPy arrays as tensors."""
    inputs = tensors_from(given)
    if not has_tensors(inputs):
        raise PathfinderError(
            f"inputs must be a tensor, or a tuple or dict of the module's arguments, got {came(given)}."
        )
    return inputs


def _given(space: WeightSpace, inputs: Any, structure: Structure | None) -> Structure:
    if structure is None and inputs is None:
        raise PathfinderError("finding which units can be permuted needs a few inputs; pass inputs= or structure=.")
    if structure is None:
        return structure_of(space, _inputs(inputs))
    of_kind(structure, Structure, "structure", "make one with Structure.of or Structure.by_hand")
    structure = _moving(space, structure)
    if inputs is not None:
        structure.prove(space.network, _inputs(inputs))
    if not structure.proved:
        raise PathfinderError("this structure was not proved; pass inputs=, a few on which it is.")
    return structure


def _moving(space: WeightSpace, structure: Structure) -> Structure:
    return known(structure, set(space.names) | set(space.statistics_names))


def _aligned(
    space: WeightSpace,
    b: Tensor,
    structure: Structure,
    permutations: list[Tensor],
    statistics: Tensor | None,
    objective: list[float],
    tried: list[float],
) -> Alignment:
    moved = structure.permuted(space.parts(b.detach()), permutations)
    vector = space.joined(moved)
    if statistics is not None and len(statistics):
        statistics = space.running(structure.permuted(space.fixed(statistics), permutations))
    return Alignment(vector, statistics, permutations, objective, tried, structure)


def _descended(
    a: dict[str, Tensor], b: dict[str, Tensor], structure: Structure, sweeps: int, rng: np.random.Generator
) -> tuple[list[Tensor], list[float]]:
    """The permutations that one random order leads to, and the objective after each sweep."""
    current = dict(b)
    permutations = [torch.arange(len(group)) for group in structure.groups]
    objective = [_inner(a, current, a)]
    for _ in range(sweeps):
        for g in rng.permutation(len(structure.groups)):
            group = structure.groups[g]
            change = _assigned(a, current, group)
            names = {place.tensor for place in group.places} & set(a)
            moved = {name: current[name] for name in names}
            for place in group.places:
                if place.tensor in a:
                    moved[place.tensor] = reordered(moved[place.tensor], place, change)
            before, after = _inner(a, current, names), _inner(a, moved, names)
            if after > before + _GAIN * abs(before):
                current, permutations[g] = {**current, **moved}, permutations[g][change]
            del moved  # before the next group's copies are made
        objective.append(_inner(a, current, a))
        if objective[-1] <= objective[-2] + _GAIN * abs(objective[-2]):
            break
    return permutations, objective


def _assigned(a: dict[str, Tensor], b: dict[str, Tensor], group: Group) -> Tensor:
    """For each unit of a, the unit of b that is most like it."""
    likeness = np.zeros((len(group), len(group)))
    for place in group.places:
        if place.tensor in a:
            likeness += (_rows(a[place.tensor], place) @ _rows(b[place.tensor], place).T).cpu().double().numpy()
    return torch.from_numpy(linear_sum_assignment(likeness, maximize=True)[1])


def _rows(tensor: Tensor, place: Place) -> Tensor:
    """(units, all entries of a unit)."""
    units = len(place.index)
    index = place.index.reshape(-1).to(tensor.device)
    return tensor.movedim(place.axis, 0).index_select(0, index).reshape(units, -1)


def _inner(a: dict[str, Tensor], b: dict[str, Tensor], names: Any) -> float:
    return sum(inner(a[n].reshape(-1), b[n].reshape(-1)) for n in sorted(names))


def _correlation(x: list[Tensor], y: list[Tensor]) -> np.ndarray:
    """(units, units), the mean over the layers that hear the group of the correlation over (samples, units)."""
    total = np.zeros(())
    for one, other in zip(x, y, strict=True):
        left, right = (to_float64(part) - to_float64(part).mean(0) for part in (one, other))
        spread = left.std(0)[:, None] * right.std(0)[None, :]
        total = total + (left.T @ right / (len(left) - 1) / (spread + 1e-4)).cpu().numpy()
    return total / len(x)


def first_inputs(data: Source) -> Any:
    """Two inputs of a data set, enough to find a structure and to prove it."""
    return next(iter(data.subset(2, 0).batches(2)))[0]
