"""Permute the hidden units of one network to match another's without changing what it computes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pathfinder.data.batching import count, has_tensors, map_leaves, tensors_from
from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import vector_of
from pathfinder.progress import Progress, silent
from pathfinder.settings import check_kind, describe, whole
from pathfinder.symmetry.alignment import Alignment
from pathfinder.symmetry.assignment import correlate, descend
from pathfinder.symmetry.settings import Align
from pathfinder.symmetry.structure import ProvedStructure, Structure
from pathfinder.weights.space import WeightSpace, check_statistics


def structure_of(space: WeightSpace, inputs: Any, table: Mapping[str, Sequence[str]] | None = None) -> ProvedStructure:
    """The groups of units that lie in tensors of the space alone, proved on a few inputs.

    Args:
        space: the weight space.
        inputs: a few inputs as the module takes them.
        table: the groups, as for `Structure.by_hand`; found from the inputs if not given.

    Raises:
        PathfinderError: if there are no such groups, or the proof fails.
    """
    found = Structure.by_hand(table, space.network) if table else Structure.of(space.network, inputs)
    return found.restrict(_tensors_in(space)).prove(space.network, inputs)


def align(
    space: WeightSpace,
    a: Float[Tensor, " weights"],
    b: Float[Tensor, " weights"],
    data: Source,
    settings: Align,
    statistics: Sequence[Tensor] | None = None,
    seed: int = 0,
    progress: Progress = silent,
    structure: ProvedStructure | None = None,
) -> Alignment:
    """Align b to a as `[align]` of a config says, with inputs from a data set.

    Args:
        space, a, b, progress: as for `match_weights`.
        data: the structure is proved on its first examples; activations are compared on more of them.
        settings: method, random orders, number of examples, and the structure if it is written as a table.
        statistics: running statistics of BatchNorm at a and b.
        seed: draws the orders and the examples.
        structure: the groups of units, if already proved; else found as the settings say.
    """
    structure = structure or structure_of(space, first_inputs(data), settings.structure)
    at_a, at_b = statistics or (None, None)
    if settings.method == "weights":
        return match_weights(
            space, a, b, structure=structure, statistics=at_b, orders=settings.orders, seed=seed, progress=progress
        )
    inputs = next(iter(data.subset(settings.examples, seed).batches(settings.examples)))[0]
    both = None if at_a is None or at_b is None else (at_a, at_b)
    return match_activations(space, a, b, inputs, structure=structure, statistics=both)


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
    """Permute b's hidden units so that the inner product of all weights of a and b is largest (weight matching).

    Coordinate descent: one group of units after the other, in random order, is assigned by the Hungarian algorithm,
    until a whole sweep changes nothing (Ainsworth et al. 2023, algorithm 1). A group that lies on two axes of one
    tensor is assigned with the other axis held, and permuted only if the inner product grows.

    Args:
        space: the weight space.
        a: the weights to match.
        b: the weights to align.
        inputs: a few inputs as the module takes them; the structure is found from them and proved on them.
        structure: the groups of units, if you have them. One that was not proved needs inputs too.
        statistics: b's running statistics of BatchNorm, which are permuted too.
        orders: random orders to try; the best is kept.
        sweeps: maximum number of sweeps of each order.
        seed: draws the orders.
        progress: called as progress(done, total) after each order.

    Raises:
        PathfinderError: if neither inputs nor a structure are given, or the structure is refused.

    Example:
        >>> import torch
        >>> from pathfinder import WeightSpace, match_weights
        >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> space = WeightSpace(module)
        >>> a, b = torch.randn(2, space.size)
        >>> found = match_weights(space, a, b, inputs=torch.randn(2, 4))
        >>> x = torch.randn(5, 4)
        >>> torch.allclose(space.call(found.vector, x), space.call(b, x), atol=1e-5)
        True
        >>> float((found.vector - a).norm()) < float((b - a).norm())
        True
    """
    a, b = _check_ends(space, a, b)
    whole(seed, "the seed", 0)
    whole(orders, "orders", 1)
    whole(sweeps, "sweeps", 0)
    if statistics is not None:
        check_statistics(statistics, space.statistics_size)
    proved = _prove(space, inputs, structure)
    theirs, ours = space.parts(a.detach()), space.parts(b.detach())
    permutations: list[Tensor] = []
    objective: list[float] = []
    tried: list[float] = []
    for order in range(orders):
        found, values = descend(theirs, ours, proved.groups, sweeps, np.random.default_rng([seed, order]))
        if not tried or values[-1] > objective[-1]:
            permutations, objective = found, values
        tried.append(values[-1])
        progress(order + 1, orders)
    vector, moments = _permute(space, b, proved, permutations, statistics)
    return Alignment(vector, moments, permutations, objective, tried, proved)


def match_activations(
    space: WeightSpace,
    a: Float[Tensor, " weights"],
    b: Float[Tensor, " weights"],
    inputs: Any,
    *,
    structure: Structure | None = None,
    statistics: tuple[Tensor, Tensor] | None = None,
) -> Alignment:
    """Permute b's hidden units so that the sum of their correlations with a's is largest (activation matching).

    The correlation over the inputs is cov / (sigma_a sigma_b + 1e-4) of what each unit passes to the next layer (Jordan
    et al. 2023, section 3; Tatro et al. 2020). Permuting the groups before them only reorders units, so one pass of
    each network serves all groups.

    Args:
        space: the weight space.
        a: the weights to match.
        b: the weights to permute.
        inputs: a batch of some hundred examples; the structure is found from the first two and proved on them.
        structure: as for `match_weights`.
        statistics: running statistics of BatchNorm at a and at b; b's are permuted too.

    Raises:
        PathfinderError: if there are fewer than two examples, or a network with BatchNorm is given no statistics.

    Example:
        >>> import torch
        >>> from pathfinder import WeightSpace, match_activations
        >>> module = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> space = WeightSpace(module)
        >>> a, b = torch.randn(2, space.size)
        >>> found = match_activations(space, a, b, torch.randn(100, 4))
        >>> found.objective[1] > found.objective[0]
        True
    """
    a, b = _check_ends(space, a, b)
    inputs = _check_inputs(inputs)
    if count(inputs) < 2:
        raise PathfinderError(f"correlations need 2 examples or more, got {count(inputs)}.")
    if space.has_statistics and statistics is None:
        raise PathfinderError("a network with BatchNorm needs statistics=(those at a, those at b).")
    at_a = at_b = None
    if statistics is not None:
        if not isinstance(statistics, tuple | list) or len(statistics) != 2:
            raise PathfinderError(f"statistics must be a pair, (those at a, those at b), got {describe(statistics)}.")
        at_a, at_b = (check_statistics(one, space.statistics_size, "each of the statistics") for one in statistics)
    proved = _prove(space, map_leaves(lambda leaf: leaf[:2], inputs), structure)
    activations = [proved.activations(space.module(theta, at), inputs) for theta, at in ((a, at_a), (b, at_b))]
    permutations, correlations = [], []
    for x, y in zip(*activations, strict=True):
        correlation = correlate(x, y)
        rows, columns = linear_sum_assignment(correlation, maximize=True)
        permutations.append(torch.from_numpy(columns))
        before = float(np.trace(correlation)) / len(correlation)
        correlations.append((before, float(correlation[rows, columns].mean())))
    units = [len(permutation) for permutation in permutations]
    objective = np.average(correlations, axis=0, weights=units).tolist()
    vector, moments = _permute(space, b, proved, permutations, at_b)
    return Alignment(vector, moments, permutations, objective, objective[1:], proved)


def first_inputs(data: Source) -> Any:
    """Two inputs of a data set, enough to find a structure and to prove it."""
    return next(iter(data.subset(2, 0).batches(2)))[0]


def _check_ends(space: WeightSpace, a: Any, b: Any) -> tuple[Tensor, Tensor]:
    """The weights of two networks of a space."""
    check_kind(space, WeightSpace, "space", "make one with WeightSpace(module)")
    return vector_of(a, space.size, "a"), vector_of(b, space.size, "b")


def _check_inputs(given: Any) -> Any:
    """Inputs as the module takes them, with NumPy arrays as tensors."""
    inputs = tensors_from(given)
    if not has_tensors(inputs):
        raise PathfinderError(
            f"inputs must be a tensor, or a tuple or dict of the module's arguments, got {describe(given)}."
        )
    return inputs


def _prove(space: WeightSpace, inputs: Any, structure: Structure | None) -> ProvedStructure:
    """The structure that a caller gave or that is found from the inputs, proved and restricted to the space."""
    if structure is None and inputs is None:
        raise PathfinderError("finding which units can be permuted needs a few inputs; pass inputs= or structure=.")
    if structure is None:
        return structure_of(space, _check_inputs(inputs))
    check_kind(structure, Structure, "structure", "make one with Structure.of or Structure.by_hand")
    restricted = structure.restrict(_tensors_in(space))
    if inputs is not None:
        return restricted.prove(space.network, _check_inputs(inputs))
    if structure.proof is None:
        raise PathfinderError("this structure was not proved; pass what its prove method returns, or a few inputs=.")
    return structure.proof.restrict(_tensors_in(space))


def _tensors_in(space: WeightSpace) -> set[str]:
    return set(space.names) | set(space.statistics_names)


def _permute(
    space: WeightSpace, b: Tensor, structure: Structure, permutations: Sequence[Tensor], statistics: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The weights and running statistics of b with its units permuted."""
    vector = space.join(structure.permute(space.parts(b.detach()), permutations))
    if statistics is not None and len(statistics):
        statistics = space.statistics_in(structure.permute(space.fixed(statistics), permutations))
    return vector, statistics
