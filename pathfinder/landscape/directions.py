"""Directions in weight space: random and normalised (Li et al. 2018), or the principal components of a trajectory."""

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
    """Draw Gaussian directions d, scaled to the weights theta they start from (Li et al. 2018, section 4).

    A filter is a row along a tensor's first axis: the weights of one channel of a convolution, or of one unit of a
    linear layer.

    Args:
        space: the weight space.
        theta: the weights.
        count: the number of directions; the first ones do not depend on it.
        normalize: `filter`: d_i |theta_i| / |d_i| for each filter i; `layer`: the same for each whole tensor; `weight`:
            d theta entry by entry; `none`: d.
        keep_1d: whether biases and norm parameters change too, each tensor as one filter; else d is zero there.
        orthogonal: whether each direction is made orthogonal to those before it, filter by filter (for `layer` tensor
            by tensor, for `weight` and `none` as a whole), so that the norms are kept. Filters with no more weights
            than there are earlier directions are left as they are.
        seed: draws the directions.

    Returns:
        The directions, each (weights,).

    Raises:
        PathfinderError: if the normalisation is unknown, or every direction would be zero.

    Example:
        >>> import torch
        >>> from pathfinder import WeightSpace, random_directions
        >>> space = WeightSpace(torch.nn.Linear(2, 3))
        >>> theta = torch.randn(space.size)
        >>> u, v = random_directions(space, theta, orthogonal=True)
        >>> torch.allclose(u.norm(), space.parts(theta)["weight"].norm())
        True
    """
    if normalize not in NORMALIZATIONS:
        raise unknown("normalization", normalize, NORMALIZATIONS)
    check_kind(space, WeightSpace, "space", "make one with WeightSpace(module)")
    theta = vector_of(theta, space.size, "theta")
    count, seed = whole(count, "count", 1), whole(seed, "seed", 0)
    shapes = [part.shape for part in space.parts(theta).values()]
    changes = [keep_1d or len(shape) > 1 for shape in shapes]
    if not any(changes):
        raise PathfinderError("every weight is a bias or a norm parameter, which directions leave out; set keep_1d.")
    home = theta.detach().cpu()
    streams = [np.random.default_rng([seed, index]) for index in range(count)]
    directions = [torch.empty_like(home) for _ in range(count)]
    for piece in _pieces(
        shapes, changes, whole=orthogonal and normalize not in ("filter", "layer"), normalize=normalize
    ):
        own = home[piece.place].double()
        found: list[Tensor] = []
        for stream, direction in zip(streams, directions, strict=True):
            noise = torch.from_numpy(stream.standard_normal(len(own), dtype=np.float32)).double() * piece.mask
            part = (noise * own if normalize == "weight" else noise).view(piece.filters, -1)
            if normalize in ("filter", "layer"):
                part = _rescale(part, own.view(piece.filters, -1).norm(dim=1))
            if orthogonal:
                part = _orthogonalize(part, found)
                found.append(part)
            direction[piece.place] = part.flatten()
    return [direction.to(theta) for direction in directions]


@dataclass(frozen=True)
class Principal:
    """The result of `principal_directions`.

    Attributes:
        directions: orthogonal, of length one, sorted by the variance along them, largest first.
        explained: the fraction of the variance along each.
    """

    directions: list[Float[Tensor, " weights"]]
    explained: list[float]


def principal_directions(thetas: Sequence[Float[Tensor, " weights"]], count: int = 2) -> Principal:
    """The principal components of a training trajectory (Li et al. 2018, section 7).

    They are those of the centred checkpoints, as in any PCA, computed from their Gram matrix in float64, block by
    block, so that memory is needed for the directions only.

    Args:
        thetas: the checkpoints, each (weights,).
        count: the number of directions.

    Returns:
        The directions, and the fraction of the variance along each.

    Raises:
        PathfinderError: if there are too few checkpoints, or they vary in fewer directions.

    Example:
        >>> import torch
        >>> from pathfinder import principal_directions
        >>> checkpoints = [torch.tensor([2.0 * step, 0.0, step % 2]) for step in range(5)]
        >>> found = principal_directions(checkpoints, 2)
        >>> [round(share, 2) for share in found.explained]
        [0.97, 0.03]
    """
    count = whole(count, "count", 1)
    if not isinstance(thetas, Sequence | Tensor | np.ndarray) or isinstance(thetas, str):
        raise PathfinderError(f"checkpoints must be a list of weights, got {describe(thetas)}.")
    if len(thetas) <= count:
        raise PathfinderError(f"{count} directions need {count + 1} checkpoints or more, got {len(thetas)}.")
    size = len(weights_of(thetas[0], "a checkpoint"))
    thetas = [vector_of(theta, size, "each checkpoint") for theta in thetas]

    def centre(block: slice) -> list[Tensor]:
        rows = [float64_block(theta, block).cpu() for theta in thetas]
        mean = sum(rows) / len(rows)
        return [row - mean for row in rows]

    values, vectors = torch.linalg.eigh(gram_of(centre, size))
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    if not float(values[count - 1]) > 1e-12 * float(values[0]):
        raise PathfinderError(f"the trajectory does not vary in {count} directions; keep more checkpoints of it.")
    directions = []
    for i in range(count):
        combination = vectors[:, i] * torch.sign(vectors[vectors[:, i].abs().argmax(), i])

        def combine(block: slice, combination: Tensor = combination) -> Tensor:
            return sum(c * row for c, row in zip(combination, centre(block), strict=True))

        length, direction = length_of(combine, size), torch.empty_like(thetas[0])
        for block in blocks(size):
            direction[block] = (combine(block) / length).to(direction)
        directions.append(direction)
    return Principal(directions, (values[:count] / values.sum()).tolist())


@dataclass(frozen=True)
class _Piece:
    """A part of the vector that is drawn independently.

    Attributes:
        place: where it lies.
        filters: the number of filters in it.
        mask: 1 where directions change weights, 0 where they do not.
    """

    place: slice
    filters: int
    mask: Tensor | float


def _pieces(shapes: Sequence[torch.Size], changes: Sequence[bool], whole: bool, normalize: str) -> Iterator[_Piece]:
    """Cut the vector into its smallest independent parts: some filters of a tensor, a tensor, or, for directions that
    are orthogonal as a whole, all of it."""
    sizes = [shape.numel() for shape in shapes]
    if whole:
        mask = torch.cat([torch.full((n,), float(change)) for n, change in zip(sizes, changes, strict=True)])
        yield _Piece(slice(0, sum(sizes)), 1, mask)
        return
    start = 0
    for shape, size, change in zip(shapes, sizes, changes, strict=True):
        filters = shape[0] if normalize == "filter" and len(shape) > 1 else 1
        if not size:
            continue
        at_once = max(2, BLOCK * filters // size)  # at least two, as torch may sum a single filter in another order
        cuts = [*range(0, max(filters - 1, 1), at_once), filters]
        for first, last in pairwise(cuts):
            place = slice(start + first * size // filters, start + last * size // filters)
            yield _Piece(place, last - first, float(change))
        start += size


def _rescale(rows: Tensor, norms: Tensor) -> Tensor:
    """Scale each row to a norm; rows of zeros stay zero."""
    own = rows.norm(dim=1)
    return rows * torch.where(own > 0, norms / own, 0.0)[:, None]


def _orthogonalize(rows: Tensor, others: list[Tensor]) -> Tensor:
    """Remove from each row its components along the same row of the others, and keep its length."""
    if rows.shape[1] <= len(others):
        return rows
    left = rows
    for other in others:
        squared = other.square().sum(1, keepdim=True)
        left = left - torch.where(squared > 0, (left * other).sum(1, keepdim=True) / squared, 0.0) * other
    return _rescale(left, rows.norm(dim=1))
