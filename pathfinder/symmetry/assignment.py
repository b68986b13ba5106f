"""Which unit of one network is matched with which of another, by their weights or by their activations."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pathfinder.compute import to_float64
from pathfinder.geometry.inner import inner
from pathfinder.symmetry.groups import Group, Place

_GAIN = 1e-12  # relative gain of the objective below which nothing has changed
Tensors = Mapping[str, Tensor]


def descend(
    a: Tensors, b: Tensors, groups: Sequence[Group], sweeps: int, rng: np.random.Generator
) -> tuple[list[Tensor], list[float]]:
    """Assign one group of b's units after the other, in random order, until a whole sweep changes nothing.

    Returns:
        A permutation for each group, and the inner product of a and b before the first sweep and after each.
    """
    current = dict(b)
    permutations = [torch.arange(len(group)) for group in groups]
    objective = [_inner_product(a, current, a)]
    for _ in range(sweeps):
        for g in rng.permutation(len(groups)):
            group = groups[g]
            change = _assign(a, current, group)
            names = {place.tensor for place in group.places} & set(a)
            changed = {name: current[name] for name in names}
            for place in group.places:
                if place.tensor in a:
                    changed[place.tensor] = place.permute(changed[place.tensor], change)
            before, after = _inner_product(a, current, names), _inner_product(a, changed, names)
            if after > before + _GAIN * abs(before):
                current, permutations[g] = {**current, **changed}, permutations[g][change]
            del changed  # before the next group's copies are made
        objective.append(_inner_product(a, current, a))
        if objective[-1] <= objective[-2] + _GAIN * abs(objective[-2]):
            break
    return permutations, objective


def correlate(x: Sequence[Tensor], y: Sequence[Tensor]) -> np.ndarray:
    """(units, units): the correlations of two networks' units, averaged over layers of (samples, units) each."""
    total = np.zeros(())
    for one, other in zip(x, y, strict=True):
        left, right = (to_float64(part) - to_float64(part).mean(0) for part in (one, other))
        spread = left.std(0)[:, None] * right.std(0)[None, :]
        total = total + (left.T @ right / (len(left) - 1) / (spread + 1e-4)).cpu().numpy()
    return total / len(x)


def _assign(a: Tensors, b: Tensors, group: Group) -> Tensor:
    """For each unit of a the unit of b that it is matched with, by the inner product of their weights."""
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


def _inner_product(a: Tensors, b: Tensors, names: Iterable[str]) -> float:
    return sum(inner(a[name].reshape(-1), b[name].reshape(-1)) for name in sorted(names))
