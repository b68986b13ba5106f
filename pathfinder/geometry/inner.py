"""Inner products of weight vectors in float64, block by block, so that no vector is ever held whole in float64.

What fits in one block is computed as it would be on whole vectors, to the last bit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.compute import to_float64

_NORM_BLOCK = 1 << 20  # numbers that are squared in float64 at a time


def length(tensors: Iterable[Tensor]) -> float:
    """The Euclidean norm of all numbers of some tensors, summed in float64 block by block and fetched at once."""
    blocks = (block for tensor in tensors for block in tensor.detach().reshape(-1).split(_NORM_BLOCK))
    squares = [torch.dot(block, block) for block in map(to_float64, blocks)]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0


BLOCK = 2**18  # weights; 2 MiB of each vector in float64


Vectors = Sequence[Float[Tensor, " weights"]]


Made = Callable[[slice], list[Tensor]]  # a block of vectors that are made of others, in float64


def blocks(size: int) -> Iterator[slice]:
    """The blocks of a vector, in order."""
    return (slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))


def float64_block(vector: Float[Tensor, " weights"], block: slice) -> Float[Tensor, " block"]:
    """A block in float64; on the CPU where the vector's device has none."""
    return to_float64(vector.detach()[block])


def gram(vectors: Vectors) -> Float[Tensor, "vectors vectors"]:
    """The inner products of vectors with each other, float64, on the CPU."""
    return gram_of(lambda block: [float64_block(vector, block) for vector in vectors], len(vectors[0]))


def gram_of(made: Made, size: int) -> Float[Tensor, "vectors vectors"]:
    """The inner products of vectors of this size that are made block by block."""

    def products(block: slice) -> list[Tensor]:
        parts = made(block)
        return [torch.stack([torch.dot(a, b) for b in parts]) for a in parts]

    return summed(products, size)


def inner(a: Float[Tensor, " weights"], b: Float[Tensor, " weights"]) -> float:
    """The inner product of two vectors."""
    return float(summed(lambda block: [torch.dot(float64_block(a, block), float64_block(b, block))], len(a)))


def summed(products: Made, size: int) -> Tensor:
    """The sum over all blocks of some inner products, stacked, on the CPU."""
    total: Tensor | None = None
    for block in blocks(size):
        found = torch.stack(products(block))
        total = found if total is None else total + found
    return total.cpu()


def length_of(made: Callable[[slice], Tensor], size: int) -> Float[Tensor, ""]:
    """The Euclidean norm of a vector of this size that is made block by block, float64, on the CPU."""
    return torch.stack([made(block).norm().cpu() for block in blocks(size)]).norm()


def distance(a: Float[Tensor, " weights"], b: Float[Tensor, " weights"]) -> Float[Tensor, ""]:
    """How far two vectors are apart, from their differences in float64."""
    return length_of(lambda block: float64_block(b, block) - float64_block(a, block), len(a))
