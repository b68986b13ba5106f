"""Placement: what is handed in goes to the device that computes, and is found again where it was."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

from pathfinder.precision import has_float64, indexed

Placed = TypeVar("Placed", bound=nn.Module)


@contextmanager
def lent(module: nn.Module, device: torch.device) -> Iterator[None]:
    """The module on a device, to be trained there; at the end, and on errors, each tensor goes back to its place."""
    homes = {}
    for layer in module.modules():
        tensors = [*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)]
        homes |= {(layer, name): tensor.device for name, tensor in tensors}
    try:
        module.to(device)
        yield
    finally:
        _returned(module, homes)


def _returned(module: nn.Module, homes: dict[tuple[nn.Module, str], torch.device]) -> None:
    places = set(homes.values())
    if len(places) == 1:
        module.to(places.pop())
        return
    for layer in module.modules():  # a module whose parts lie on several devices
        for name, parameter in layer.named_parameters(recurse=False):
            parameter.data = parameter.data.to(homes[layer, name])
        for name, buffer in list(layer.named_buffers(recurse=False)):
            setattr(layer, name, buffer.to(homes.get((layer, name), buffer.device)))


def placed(module: Placed, device: torch.device) -> Placed:
    """The module itself, if it lies on the device, or else a copy there; the module stays where it is.

    A buffer in float64, such as the landmarks of a plane, stays behind where the device has none.
    """
    tensors = [*module.parameters(), *module.buffers()]
    if all(tensor.device == indexed(device) for tensor in tensors):
        return module
    there = {}
    for tensor in tensors:
        stays = tensor.dtype == torch.float64 and not has_float64(device)
        own = tensor.detach() if stays else tensor.detach().to(device)
        there[id(tensor)] = nn.Parameter(own, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else own
    return copy.deepcopy(module, there)
