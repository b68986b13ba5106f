"""Multilayer perceptron."""

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with ReLU between them; inputs of any shape are flattened.

    Args:
        widths: units of each hidden layer.
        num_classes: outputs.
        input_shape: the shape of one input.
    """

    def __init__(
        self,
        widths: Sequence[int] = (128, 128),
        num_classes: int = 10,
        input_shape: Sequence[int] = (3, 32, 32),
    ) -> None:
        super().__init__()
        sizes = [math.prod(input_shape), *widths]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, (examples, num_classes)."""
        return self.layers(x.flatten(1))
