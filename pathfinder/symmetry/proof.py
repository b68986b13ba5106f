"""How a structure is tested: which permutations are applied, to which weights, and how outputs are compared."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pathfinder.weights.tensors import running_of, tensors_of


def revealing_permutations(sizes: Sequence[int]) -> Iterator[list[Tensor]]:
    """Permutations of groups of these sizes that expose a wrong structure: 2 log2(groups) + 1 lists, rounded up.

    For any two groups, some list permutes one and not the other. The groups it permutes are first shifted by one unit,
    then have their first two units swapped; these two generate every permutation of a group. The last list permutes all
    groups at random.
    """
    for bit in range(len(sizes).bit_length()):
        for permute in (_shift, _swap):
            yield [permute(n) if (g + 1) >> bit & 1 else torch.arange(n) for g, n in enumerate(sizes)]
    yield random_permutations(sizes, 0)


def random_permutations(sizes: Sequence[int], seed: int) -> list[Tensor]:
    """A random permutation for each group of these sizes."""
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.permutation(n)) for n in sizes]


def disturb(module: nn.Module) -> None:
    """Change trainable weights and running statistics a little, always by the same amounts, and none through zero.

    A freshly initialised network hides what belongs to its units: norms of ones and zeros, a last layer of zeros.
    Tensors of zeros get values with about the spread of a fresh layer.
    """
    generator = torch.Generator().manual_seed(0)
    statistics = running_of(module)[0]
    with torch.no_grad():
        for name, tensor in tensors_of(module).items():
            if not (tensor.requires_grad or name in statistics):
                continue
            share = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
            if tensor.any():
                tensor.mul_(1 + 0.3 * share)
            else:
                tensor.add_((share - 0.5) * 0.3 / math.sqrt(max(math.prod(tensor.shape[1:]), 1)))


def relative_gap(a: Tensor, b: Tensor) -> float:
    """The largest difference relative to the largest entry of b; infinite if NaN or infinity differ in place."""
    finite = b.isfinite()
    if not torch.equal(a.isfinite(), finite):
        return math.inf
    return float((a - b)[finite].abs().max() / b[finite].abs().max().clamp_min(1e-300)) if finite.any() else 0.0


def _shift(units: int) -> Tensor:
    return torch.arange(units).roll(1)


def _swap(units: int) -> Tensor:
    return torch.tensor([1, 0, *range(2, units)])
