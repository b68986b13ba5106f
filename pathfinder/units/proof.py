"""Proof: what a structure has to stand before it is believed."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


def orders(sizes: Sequence[int]) -> Iterator[list[Tensor]]:
    """Orders of groups of these sizes that find a wrong structure out; 2 log2(groups) + 1 of them, rounded up.

    Of any two groups there is a set that has one without the other. The groups of a set are moved on by one unit, then
    have their first two units exchanged, which together reach every order of a group; at last all are put in random
    ones.
    """
    for bit in range(len(sizes).bit_length()):
        chosen = [(g + 1) >> bit & 1 for g in range(len(sizes))]
        yield [torch.arange(n).roll(moves) for moves, n in zip(chosen, sizes, strict=True)]
        yield [
            torch.tensor([1, 0, *range(2, n)] if moves else range(n)) for moves, n in zip(chosen, sizes, strict=True)
        ]
    yield drawn(sizes, 0)


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
    layers = [layer for layer in module.modules() if isinstance(layer, _NormBase) and layer.running_mean is not None]
    statistics = [tensor for layer in layers for tensor in (layer.running_mean, layer.running_var)]
    with torch.no_grad():
        for tensor in [*(weight for weight in module.parameters() if weight.requires_grad), *statistics]:
            drawn = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
            if tensor.any():
                tensor.mul_(1 + 0.3 * drawn)
            else:
                tensor.add_((drawn - 0.5) * 0.3 / math.sqrt(max(math.prod(tensor.shape[1:]), 1)))


def apart(a: Tensor, b: Tensor) -> float:
    """The largest difference relative to the largest entry; infinite if NaN or infinity stand at other places."""
    finite = b.isfinite()
    if not torch.equal(a.isfinite(), finite):
        return math.inf
    return float((a - b)[finite].abs().max() / b[finite].abs().max().clamp_min(1e-300)) if finite.any() else 0.0
