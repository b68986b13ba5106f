"""The modes in which a module computes; its flags are restored at the end."""

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from pathfinder.weights.tensors import has_running


@contextmanager
def evaluation_mode(module: nn.Module) -> Generator[None, None, None]:
    """Evaluation mode: Dropout is off, BatchNorm uses its running statistics."""
    with _restore_flags(module):
        module.eval()
        yield


@contextmanager
def training_mode(module: nn.Module) -> Generator[None, None, None]:
    """Training mode: Dropout is on, BatchNorm uses the batch's statistics and updates its running ones."""
    with _restore_flags(module):
        module.train()
        yield


@contextmanager
def estimation_mode(module: nn.Module) -> Generator[list[_NormBase], None, None]:
    """Layers with running statistics in training mode, all others, such as Dropout, in evaluation mode.

    Yields these layers, so that `momentum` can be set for each batch; it is restored as well.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, _NormBase) and has_running(layer)]
    momenta = [layer.momentum for layer in layers]
    with evaluation_mode(module):
        for layer in layers:
            layer.training = True
        try:
            yield layers
        finally:
            for layer, momentum in zip(layers, momenta, strict=True):
                layer.momentum = momentum


@contextmanager
def _restore_flags(module: nn.Module) -> Generator[None, None, None]:
    flags = [(layer, layer.training) for layer in module.modules()]
    try:
        yield
    finally:
        for layer, flag in flags:
            layer.training = flag
