"""Networks by name: ordinary modules that know nothing of paths."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from pathfinder.errors import PathfinderError
from pathfinder.lookup import by_import_path, unknown
from pathfinder.models.convnet import ConvNet
from pathfinder.models.mlp import MLP

_BUILDERS = {
    "mlp": lambda **arguments: MLP(**arguments),
    "convnet": lambda **arguments: ConvNet(**arguments),
    "convnet-bn": lambda **arguments: ConvNet(batch_norm=True, **arguments),
}
MODELS = {
    "mlp": "linear layers with ReLU between: widths",
    "convnet": "three 3 x 3 convolutions without normalisation: widths",
    "convnet-bn": "the same with BatchNorm after each convolution: widths",
    "torchvision:NAME": "any classifier of torchvision",
    "module:NAME": "a class or function of yours",
}


def build_model(
    name: str,
    *,
    num_classes: int = 10,
    input_shape: Sequence[int] = (3, 32, 32),
    seed: int | None = None,
    **arguments: Any,
) -> nn.Module:
    """A network by name.

    Args:
        name: one of `MODELS`; `torchvision:NAME`; or `package.module:NAME`, a class or function of yours.
        num_classes: outputs; handed to your own builder if it takes an argument of that name.
        input_shape: the shape of one input, likewise.
        seed: draws the initial weights without touching the global generator; if None, the global one draws them.
        **arguments: handed to the builder.

    Raises:
        PathfinderError: if the name is unknown, or the builder refuses an argument.
    """
    offered = {"num_classes": num_classes, "input_shape": tuple(input_shape)}
    builder, given = _builder(name, offered)
    with torch.random.fork_rng(enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        try:
            module = builder(**{**given, **arguments})
        except (TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise PathfinderError(f"model `{name}` cannot be built: {reason}; see its arguments.") from error
    if not isinstance(module, nn.Module):
        raise PathfinderError(f"model `{name}` must give a torch.nn.Module, got {type(module).__name__}.")
    return module


def _builder(name: str, offered: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    if name in _BUILDERS:
        return _BUILDERS[name], offered
    if name.startswith("torchvision:"):
        from torchvision import models

        known = models.list_models(module=models)
        if (plain := name.removeprefix("torchvision:")) not in known:
            raise unknown("torchvision model", plain, known)
        return models.get_model_builder(plain), {"num_classes": offered["num_classes"]}
    if ":" not in name:
        raise unknown("model", name, MODELS)
    builder = by_import_path(name)
    try:
        taken = inspect.signature(builder).parameters
    except (TypeError, ValueError):  # built-in types do not tell
        taken = {}
    return builder, {key: value for key, value in offered.items() if key in taken}
