"""Gradients of a loss that can be differentiated once more, batch by batch."""

import torch
from torch import Tensor

from pathfinder.compute import to_float64


class Gradient:
    """The gradient of a batch's summed loss, with the graph that made it.

    Args:
        theta: the weights, which the loss depends on.
        loss: its sum over the batch.
        sums: what `Reduced.sums` gives.
        examples: how many the batch has.
        size: values per example.
    """

    def __init__(self, theta: Tensor, loss: Tensor, sums: Tensor, examples: int, size: int) -> None:
        self.sums, self.examples, self.size = sums.detach(), examples, size
        self._theta = theta
        self._value = torch.zeros_like(theta)
        if loss.requires_grad:
            (self._value,) = torch.autograd.grad(loss, theta, create_graph=True, materialize_grads=True)

    def derivative(self, vector: Tensor) -> Tensor:
        """The derivative of the gradient's component along a vector: H v of the summed loss (Pearlmutter 1994)."""
        if not self._value.requires_grad:  # the loss is linear
            return torch.zeros_like(self._theta)
        (found,) = torch.autograd.grad(self._value, self._theta, vector, retain_graph=True, materialize_grads=True)
        return found


class Total:
    """A sum over batches, and what turns it into a mean, weighted where something is left out."""

    def __init__(self, zeros: Tensor) -> None:
        self.plain, self.tokens, self.examples = zeros, None, 0  # tokens: each example weighs as its number of values
        self.size = 0
        self.weights = zeros.new_zeros(3)

    def add(self, found: Tensor, sums: Tensor, examples: int, size: int) -> None:
        """Add a batch.

        Args:
            found: the sum over its examples.
            sums: what `Reduced.sums` gives.
            examples: how many it has.
            size: values per example.
        """
        if self.examples and size != self.size and self.tokens is None:
            self.tokens = self.plain * self.size
        self.plain += found
        if self.tokens is not None:
            self.tokens += found * size
        self.size, self.examples = size, self.examples + examples
        self.weights += sums[1:]

    def mean(self) -> Tensor:
        """The mean in float64."""
        weight, _, left_out = self.weights.tolist()
        if not left_out or not weight:
            return to_float64(self.plain).div_(self.examples)
        return to_float64(self.plain * self.size if self.tokens is None else self.tokens).div_(weight)
