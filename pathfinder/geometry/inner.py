"""Inner products and norms of weight vectors in float64, block by block, without a float64 copy of a whole vector.

Vectors that fit in one block give the same bits as if they were computed whole.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.compute import to_float64

_NORM_BLOCK = 1 << 20  # numbers converted to float64 at a time


def length(tensors: Iterable[Tensor]) -> float:
    """The Euclidean norm of tensors that exist, such as parameters, taken together.

    It squares block by block on their device and waits for it once; `length_of` is for a vector that is only made block
    by block, such as a difference.
    """
    blocks = (block for tensor in tensors for block in tensor.detach().reshape(-1).split(_NORM_BLOCK))
    squares = [torch.dot(block, block) for block in map(to_float64, blocks)]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0


BLOCK = 2**18  # weights; 2 MiB of each vector in float64
Vectors = Sequence[Float[Tensor, " weights"]]
Made = Callable[[slice], list[Tensor]]  # makes a block of each of several vectors, in float64


def blocks(size: int) -> Iterator[slice]:
    """The blocks of a vector, in order."""
    return (slice(start, min(start + BLOCK, size)) for start in range(0, size, BLOCK))


def float64_block(vector: Float[Tensor, " weights"], block: slice) -> Float[Tensor, " block"]:
    """A block in float64, on the CPU if the vector's device has no float64."""
    return to_float64(vector.detach()[block])


def gram(vectors: Vectors) -> Float[Tensor, "vectors vectors"]:
    """The inner products of vectors with each other, float64, on the CPU."""
    return gram_of(lambda block: [float64_block(vector, block) for vector in vectors], len(vectors[0]))


def gram_of(made: Made, size: int) -> Float[Tensor, "vectors vectors"]:
    """The inner products of `size` weights each, of vectors that `made` makes block by block."""

    def products(block: slice) -> list[Tensor]:
        parts = made(block)
        return [torch.stack([torch.dot(a, b) for b in parts]) for a in parts]

    return sum_blocks(products, size)


def inner(a: Float[Tensor, " weights"], b: Float[Tensor, " weights"]) -> float:
    """The inner product of two vectors."""
    return float(sum_blocks(lambda block: [torch.dot(float64_block(a, block), float64_block(b, block))], len(a)))


def sum_blocks(products: Made, size: int) -> Tensor:
    """The inner products of each block, stacked and added over all blocks of `size` weights, on the CPU."""
    total, *others = (torch.stack(products(block)) for block in blocks(size))
    for found in others:
        total = total + found
    return total.cpu()


def length_of(made: Callable[[slice], Tensor], size: int) -> Float[Tensor, ""]:
    """The Euclidean norm of a vector of `size` weights that is made block by block, float64, on the CPU.

    It takes the norm of the blocks' norms; `length` is for tensors that exist.
    """
    return torch.stack([made(block).norm().cpu() for block in blocks(size)]).norm()


def distance(a: Float[Tensor, " weights"], b: Float[Tensor, " weights"]) -> Float[Tensor, ""]:
    """The Euclidean distance of two vectors, from their differences in float64."""
    return length_of(lambda block: float64_block(b, block) - float64_block(a, block), len(a))
