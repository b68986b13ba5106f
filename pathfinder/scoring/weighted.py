"""Values with weights: what a loss returns where examples or tokens count differently, and how values are averaged.

The mean of values v with weights w is sum(w v) / sum(w). Values without weights are averaged over the tokens of each
example, then over the examples.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from pathfinder.errors import PathfinderError


class Weighted(NamedTuple):
    """Values of a loss or metric with the weight of each, for examples or tokens that count differently.

    The mean is sum(weights * values) / sum(weights), over the batch in training and over all examples in scores.

    Attributes:
        values: (examples, ...).
        weights: of the same shape: numbers of 0 or more that do not depend on the output; or booleans, False for a
            value that is left out.

    >>> import torch
    >>> def loss(output, target):  # counts the second class twice
    ...     return Weighted((output - target).square(), 1.0 + (target > 0))
    >>> loss(torch.zeros(2), torch.tensor([0.0, 1.0])).weights
    tensor([1., 2.])
    """

    values: Tensor
    weights: Tensor


class Reduced(NamedTuple):
    """The values of a batch, reduced to one per example.

    Attributes:
        values: (examples,), the mean of weight times value over all axes but the first.
        weights: (examples,), the sum of the weights over these axes; None for values without weights.
        size: values per example.
        mask: whether the weights are booleans. If none is False they are as good as none.
    """

    values: Tensor
    weights: Tensor | None
    size: int
    mask: bool

    def mean(self) -> Tensor:
        """The mean over the batch, to be differentiated; 0 if all weights are."""
        correction = self.correction()
        return self.values.mean() if correction is None else self.values.mean() * correction

    def correction(self) -> Tensor | None:
        """By how much the mean of `values` is to be multiplied; exactly 1 if nothing is left out."""
        if self.weights is None:
            return None
        return correct(float(len(self.values) * self.size), self.weights.sum())

    def sums(self, dtype: torch.dtype) -> Tensor:
        """(4,): the sums of weight times value and of weight, the number of values, and what makes them weighted."""
        total = self.values.detach().sum(dtype=dtype)
        number = torch.full_like(total, float(len(self.values) * self.size))
        weight = number if self.weights is None else self.weights.detach().sum(dtype=dtype)
        left_out = number - weight if self.mask or self.weights is None else number
        return torch.stack([total * self.size, weight, number, left_out])


def correct(number: float | Tensor, weight: Tensor) -> Tensor:
    """The number of values divided by the sum of their weights; 0 if that is 0."""
    return torch.where(weight > 0, number / torch.where(weight > 0, weight, 1), 0)


def per_example(found: Any, examples: int) -> Reduced:
    """Reduce what a loss or metric returns to a value for each example.

    Raises:
        PathfinderError: if there is not at least one value for each example, or weights do not fit the values.
    """
    values, weights = found if isinstance(found, Weighted) else (found, None)
    if not isinstance(values, Tensor):
        raise PathfinderError(
            f"a loss or metric must return a tensor, a value per example, got {type(values).__name__}; "
            'use reduction="none".'
        )
    if values.ndim == 0 or len(values) != examples:
        raise PathfinderError(
            f"a loss or metric must return a value per example, shape ({examples}, ...), got {tuple(values.shape)}; "
            'use reduction="none".'
        )
    flat = values.reshape(examples, -1).to(torch.promote_types(values.dtype, torch.float32))
    if weights is None:
        return Reduced(flat.mean(1), None, flat.shape[1], mask=False)
    if not isinstance(weights, Tensor) or weights.shape != values.shape:
        came = tuple(weights.shape) if isinstance(weights, Tensor) else type(weights).__name__
        raise PathfinderError(f"weights must have the shape of their values, {tuple(values.shape)}, got {came}.")
    weights, mask = weights.reshape(examples, -1), weights.dtype == torch.bool
    # where instead of a product: what is left out may be NaN, and what is kept keeps its bits
    kept = torch.where(weights if mask else weights != 0, flat, 0)
    weights = weights.to(flat.dtype)
    return Reduced((kept if mask else kept * weights).mean(1), weights.sum(1), flat.shape[1], mask)
