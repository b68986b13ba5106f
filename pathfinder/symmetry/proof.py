"""Proof: what a structure has to stand before it is believed."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from pathfinder.weights.tensors import running_of, tensors_of


def orders(sizes: Sequence[int]) -> Iterator[list[Tensor]]:
    """Orders of groups of these sizes that find a wrong structure out; 2 log2(groups) + 1 of them, rounded up.

    Of any two groups there is a set that has one without the other. The groups of a set are moved on by one unit, then
    have their first two units exchanged, which together reach every order of a group; at last all are put in random
    ones.
    """
    for bit in range(len(sizes).bit_length()):
        for moved in (_moved_on, _exchanged):
            yield [moved(n) if (g + 1) >> bit & 1 else torch.arange(n) for g, n in enumerate(sizes)]
    yield drawn(sizes, 0)


def _moved_on(units: int) -> Tensor:
    return torch.arange(units).roll(1)


def _exchanged(units: int) -> Tensor:
    return torch.tensor([1, 0, *range(2, units)])


def drawn(sizes: Sequence[int], seed: int) -> list[Tensor]:
    """Random orders of groups of these sizes."""
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.permutation(n)) for n in sizes]


def disturb(module: nn.Module) -> None:
    """Move trainable weights and running statistics a little, by the same amounts always, and none through zero.

    A network as it is initialised hides what moves along with its units: norms of ones and zeros, a last layer of
    zeros. Tensors of zeros get some of about the spread of a fresh layer.
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


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference relative to the largest entry; infinite if NaN or infinity stand at other places."""
    finite = b.isfinite()
    if not torch.equal(a.isfinite(), finite):
        return math.inf
    return float((a - b)[finite].abs().max() / b[finite].abs().max().clamp_min(1e-300)) if finite.any() else 0.0
