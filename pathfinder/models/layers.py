"""What the convolutional families share."""

import torch
from torch import Tensor, nn


def he_normal(module: nn.Module) -> None:
    """Draw every convolution's weights as He et al. (2015) do, over the outgoing connections, and zero its bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def channels_last(x: Tensor) -> Tensor:
    """Images in the memory order in which convolutions are fastest; the values are the same."""
    return x.contiguous(memory_format=torch.channels_last)
