"""Directions in weight space: random and normalised (Li et al. 2018), or those a trajectory of training spans."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.errors import PathfinderError
from pathfinder.lookup import unknown
from pathfinder.weights import WeightSpace

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
    theta64 = theta.detach().cpu().double()
    moves = torch.cat([torch.full((t.numel(),), keep_1d or t.ndim > 1) for t in space.parts(theta64).values()])
    if not moves.any():
        raise PathfinderError("every weight is a bias or a norm parameter, which do not move; set keep_1d.")
    weights = _filters(space, theta64, normalize)
    found: list[list[Tensor]] = []
    for index in range(count):
        drawn = np.random.default_rng([seed, index]).standard_normal(space.size, dtype=np.float32)
        d = torch.from_numpy(drawn).double() * moves
        filters = _filters(space, d * theta64 if normalize == "weight" else d, normalize)
        if normalize in ("filter", "layer"):
            filters = [_with_norms(part, own.norm(dim=1)) for part, own in zip(filters, weights, strict=True)]
        if orthogonal:
            filters = [_orthogonal(part, [other[i] for other in found]) for i, part in enumerate(filters)]
        found.append(filters)
    return [torch.cat([part.flatten() for part in filters]).to(theta) for filters in found]


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

    Computed from the checkpoints' Gram matrix in float64, so it costs no more memory than the checkpoints.

    Raises:
        PathfinderError: if there are too few checkpoints, or they do not vary in so many directions.
    """
    if len(thetas) <= count:
        raise PathfinderError(f"{count} directions need {count + 1} checkpoints or more, got {len(thetas)}.")
    rows = [theta.detach().cpu().double() for theta in thetas]
    mean = sum(rows) / len(rows)
    rows = [row - mean for row in rows]
    gram = torch.stack([torch.stack([torch.dot(a, b) for b in rows]) for a in rows])
    values, vectors = torch.linalg.eigh(gram)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    if not float(values[count - 1]) > 1e-12 * float(values[0]):
        raise PathfinderError(f"the trajectory does not vary in {count} directions; keep more checkpoints of it.")
    directions = []
    for i in range(count):
        share = vectors[:, i] * torch.sign(vectors[vectors[:, i].abs().argmax(), i])
        direction = sum(s * row for s, row in zip(share, rows, strict=True))
        directions.append((direction / direction.norm()).to(thetas[0]))
    return Principal(directions, (values[:count] / values.sum()).tolist())


def _filters(space: WeightSpace, vector: Tensor, normalize: str) -> list[Tensor]:
    """A vector in the parts whose norms are set, each a row: (filters, weights of a filter) for each tensor."""
    if normalize not in ("filter", "layer"):
        return [vector[None]]
    tensors = space.parts(vector).values()
    return [t.reshape(t.shape[0] if normalize == "filter" and t.ndim > 1 else 1, -1) for t in tensors]


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
