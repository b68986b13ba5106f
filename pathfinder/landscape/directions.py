"""Directions in weight space: random and normalised (Li et al. 2018), or those a trajectory of training spans."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError, unknown
from pathfinder.geometry.base import vector_of, weights_of
from pathfinder.geometry.inner import BLOCK, blocks, float64_block, gram_of, length_of
from pathfinder.settings import check_kind, describe, whole
from pathfinder.weights.space import WeightSpace

NORMALIZATIONS = ("filter", "layer", "weight", "none")


def random_directions(
    space: WeightSpace,
    theta: Float[Tensor, " weights"],
    count: int = 2,
    *,
    normalize: Literal["filter", "layer", "weight", "none"] = "filter",
    keep_1d: bool = False,
    orthogonal: bool = False,
    seed: int = 0,
) -> list[Float[Tensor, " weights"]]:
    """Gaussian directions d, scaled to the weights theta they start from (Li et al. 2018, section 4).

    A filter is a row of a tensor's first axis: what makes one channel of a convolution or one unit of a linear layer.

    Args:
        space: says which weights belong to which tensor.
        theta: the weights.
        count: how many directions; the first ones are the same whatever the count.
        normalize: `filter`, d_i |theta_i| / |d_i| for each filter i; `layer`, the same for each tensor as a whole;
            `weight`, d theta entry by entry; or `none`.
        keep_1d: whether biases and norm parameters move too, each tensor as one filter; else they are zero in d.
        orthogonal: whether each direction is made orthogonal to those before it, filter by filter (tensor by tensor for
            `layer`, as a whole else), so that the norms still hold. Filters of fewer weights than directions stay.
        seed: draws the directions.

    Raises:
        PathfinderError: if there is no such normalisation, or nothing is left that moves.
    """
    if normalize not in NORMALIZATIONS:
        raise unknown("normalization", normalize, NORMALIZATIONS)
    check_kind(space, WeightSpace, "space", "make one with WeightSpace(module)")
    theta = vector_of(theta, space.size, "theta")
    count, seed = whole(count, "count", 1), whole(seed, "seed", 0)
    shapes = [part.shape for part in space.parts(theta).values()]
    moves = [keep_1d or len(shape) > 1 for shape in shapes]
    if not any(moves):
        raise PathfinderError("every weight is a bias or a norm parameter, which do not move; set keep_1d.")
    home = theta.detach().cpu()
    streams = [np.random.default_rng([seed, index]) for index in range(count)]
    directions = [torch.empty_like(home) for _ in range(count)]
    for piece in _pieces(shapes, moves, whole=orthogonal and normalize not in ("filter", "layer"), normalize=normalize):
        own = home[piece.place].double()
        found: list[Tensor] = []
        for stream, direction in zip(streams, directions, strict=True):
            drawn = torch.from_numpy(stream.standard_normal(len(own), dtype=np.float32)).double() * piece.moves
            part = (drawn * own if normalize == "weight" else drawn).view(piece.filters, -1)
            if normalize in ("filter", "layer"):
                part = _with_norms(part, own.view(piece.filters, -1).norm(dim=1))
            if orthogonal:
                part = _orthogonal(part, found)
                found.append(part)
            direction[piece.place] = part.flatten()
    return [direction.to(theta) for direction in directions]


@dataclass(frozen=True)
class Principal:
    """What `principal_directions` gives.

    Attributes:
        directions: of length one, orthogonal, the one along which the checkpoints vary most first.
        explained: the share of the variance along each.
    """

    directions: list[Float[Tensor, " weights"]]
    explained: list[float]


def principal_directions(thetas: Sequence[Float[Tensor, " weights"]], count: int = 2) -> Principal:
    """The principal components of a trajectory of training: rows are centred, as in every PCA.

    Computed from the checkpoints' Gram matrix in float64, block by block, so it costs no memory but the directions.

    Raises:
        PathfinderError: if there are too few checkpoints, or they do not vary in so many directions.
    """
    count = whole(count, "count", 1)
    if not isinstance(thetas, Sequence | Tensor | np.ndarray) or isinstance(thetas, str):
        raise PathfinderError(f"checkpoints must be a list of weights, got {describe(thetas)}.")
    if len(thetas) <= count:
        raise PathfinderError(f"{count} directions need {count + 1} checkpoints or more, got {len(thetas)}.")
    size = len(weights_of(thetas[0], "a checkpoint"))
    thetas = [vector_of(theta, size, "each checkpoint") for theta in thetas]

    def centred(block: slice) -> list[Tensor]:
        rows = [float64_block(theta, block).cpu() for theta in thetas]
        mean = sum(rows) / len(rows)
        return [row - mean for row in rows]

    values, vectors = torch.linalg.eigh(gram_of(centred, size))
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    if not float(values[count - 1]) > 1e-12 * float(values[0]):
        raise PathfinderError(f"the trajectory does not vary in {count} directions; keep more checkpoints of it.")
    directions = []
    for i in range(count):
        share = vectors[:, i] * torch.sign(vectors[vectors[:, i].abs().argmax(), i])

        def along(block: slice, share: Tensor = share) -> Tensor:
            return sum(s * row for s, row in zip(share, centred(block), strict=True))

        length, direction = length_of(along, size), torch.empty_like(thetas[0])
        for block in blocks(size):
            direction[block] = (along(block) / length).to(direction)
        directions.append(direction)
    return Principal(directions, (values[:count] / values.sum()).tolist())


@dataclass(frozen=True)
class _Piece:
    """A stretch of the vector that is made by itself, in so many filters; `moves` is 0 where weights stand still."""

    place: slice
    filters: int
    moves: Tensor | float


def _pieces(shapes: Sequence[torch.Size], moves: Sequence[bool], whole: bool, normalize: str) -> Iterator[_Piece]:
    """The vector in the smallest stretches that know nothing of each other: some filters of a tensor, a tensor, or, for
    directions that are orthogonal as a whole, all of it."""
    sizes = [shape.numel() for shape in shapes]
    if whole:
        mask = torch.cat([torch.full((n,), float(moving)) for n, moving in zip(sizes, moves, strict=True)])
        yield _Piece(slice(0, sum(sizes)), 1, mask)
        return
    start = 0
    for shape, size, moving in zip(shapes, sizes, moves, strict=True):
        filters = shape[0] if normalize == "filter" and len(shape) > 1 else 1
        if not size:
            continue
        at_once = max(2, BLOCK * filters // size)  # two and more, as sums over one filter alone may be split
        cuts = [*range(0, max(filters - 1, 1), at_once), filters]
        for first, last in pairwise(cuts):
            place = slice(start + first * size // filters, start + last * size // filters)
            yield _Piece(place, last - first, float(moving))
        start += size


def _with_norms(rows: Tensor, norms: Tensor) -> Tensor:
    own = rows.norm(dim=1)
    return rows * torch.where(own > 0, norms / own, 0.0)[:, None]


def _orthogonal(rows: Tensor, others: list[Tensor]) -> Tensor:
    """Each row without its share along the same row of the others, at its own length."""
    if rows.shape[1] <= len(others):
        return rows
    left = rows
    for other in others:
        squared = other.square().sum(1, keepdim=True)
        left = left - torch.where(squared > 0, (left * other).sum(1, keepdim=True) / squared, 0.0) * other
    return _with_norms(left, rows.norm(dim=1))
