"""Initialisation and memory layout of the convolutional families."""

import torch
from torch import Tensor, nn


def he_normal(module: nn.Module) -> None:
    """Draw the weights of every convolution as He et al. (2015), by its outgoing connections, and zero its bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def channels_last(x: Tensor) -> Tensor:
    """Images in the memory layout in which convolutions are fastest, with the same values."""
    return x.contiguous(memory_format=torch.channels_last)
