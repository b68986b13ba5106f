"""build_model: a network by name. The networks are ordinary modules that know nothing of paths."""

import inspect
import reprlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from pydantic import ValidationError, validate_call
from torch import nn

from pathfinder.compute import own_draws
from pathfinder.errors import PathfinderError, brief, list_names, unknown, users_code
from pathfinder.models.convnet import ConvNet
from pathfinder.models.mlp import MLP
from pathfinder.models.preresnet import PreResNet
from pathfinder.models.resnet import ResNet
from pathfinder.models.vgg import VGG
from pathfinder.settings import by_import_path, demand, describe, whole

_FAMILIES: dict[str, type[nn.Module]] = {
    "mlp": MLP,
    "convnet": ConvNet,
    "vgg": VGG,
    "resnet": ResNet,
    "preresnet": PreResNet,
}
_SIZES: dict[str, tuple[str, dict[str, Any]]] = {  # the published ones: a family and its arguments
    "convnet-bn": ("convnet", {"batch_norm": True}),
    "vgg9": ("vgg", {"depth": 9}),
    "vgg16": ("vgg", {"depth": 16}),
    "vgg16-bn": ("vgg", {"depth": 16, "batch_norm": True}),
    **{f"resnet{depth}": ("resnet", {"depth": depth}) for depth in (20, 56, 110)},
    **{f"wrn56-{width}": ("resnet", {"depth": 56, "width": width}) for width in (2, 4, 8)},
    **{f"preresnet{depth}": ("preresnet", {"depth": depth}) for depth in (110, 164)},
    "wrn28-10": ("preresnet", {"depth": 28, "width": 10, "bottleneck": False, "bias": True}),
}
_SIZES |= {
    f"{name}-noshort": (family, {**arguments, "shortcut": False})
    for name, (family, arguments) in _SIZES.items()
    if family == "resnet"
}
MODELS = {
    "mlp": "linear layers with ReLU between: widths",
    "convnet": "three 3 x 3 convolutions without normalisation: widths, batch_norm",
    "vgg": "3 x 3 convolutions and linear layers: depth (9, 11, 13, 16, 19), width, batch_norm",
    "resnet": "residual blocks with BatchNorm: depth (6 n + 2), width, shortcut",
    "preresnet": "the same, normalised before each convolution: depth, width, bottleneck, bias, dropout, shortcut",
    **{
        name: f"{family} with {', '.join(f'{key} = {value}' for key, value in arguments.items())}"
        for name, (family, arguments) in _SIZES.items()
    },
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
    """Build a network by name.

    Args:
        name: one of `MODELS`; `torchvision:NAME`; or `package.module:NAME`, a class or function of your own.
        num_classes: outputs; passed to your own builder if it has an argument of that name.
        input_shape: the shape of one input; passed to your own builder if it has an argument of that name.
        seed: draws the initial weights without touching the global generator; if None, the global one draws them.
        **arguments: passed to the builder.

    Returns:
        The network.

    Raises:
        PathfinderError: if the name is unknown, or the builder refuses an argument or raises an error.

    >>> build_model("mlp", widths=[4], input_shape=(1, 8, 8), seed=0)
    MLP(
      (layers): Sequential(
        (0): Linear(in_features=64, out_features=4, bias=True)
        (1): ReLU()
        (2): Linear(in_features=4, out_features=10, bias=True)
      )
    )
    """
    if not isinstance(name, str):
        raise PathfinderError(f"a network must be named by a text such as `resnet20`, got {describe(name)}.")
    if seed is not None:
        whole(seed, "seed")
    builder, given = _builder(name, {"num_classes": num_classes, "input_shape": input_shape})
    with nullcontext() if seed is None else own_draws(torch.get_default_device()) as draw:
        if seed is not None and draw is not None:
            draw(seed)
        with users_code(f"model `{name}` cannot be built", "see its arguments"):
            try:
                module = builder(**{**given, **arguments})
            except ValidationError as error:
                fault = error.errors()[0]
                what = ".".join(map(str, fault["loc"])) + ": " + demand(fault)
                text = reprlib.repr(fault["input"])
                raise PathfinderError(
                    f"model `{name}` cannot be built: {brief(what)}, got {brief(text)}; see its arguments."
                ) from error
    if not isinstance(module, nn.Module):
        raise PathfinderError(f"model `{name}` must give a torch.nn.Module, got {type(module).__name__}.")
    return module


def check_description(name: str, arguments: Mapping[str, Any]) -> None:
    """Check a network that a file names, before anything is built or imported.

    A file may name only pathfinder's and torchvision's networks, with arguments of their builders; those of torchvision
    must be plain numbers, so that nothing is downloaded.

    Raises:
        PathfinderError: if it names another network, or an argument that the builder does not take.
    """
    family = _SIZES.get(name, (name, {}))[0]
    if family in _FAMILIES:
        taken = list(inspect.signature(_FAMILIES[family]).parameters)
        wrong = [key for key in arguments if key not in taken]
    elif name.startswith("torchvision:"):
        wrong = [key for key, value in arguments.items() if key in _FETCHING or not _plain(value)]
        wrong = [key for key in wrong if key != "input_shape"]  # passed to every network
        wrong += [key for key in ("name", "seed") if key in arguments and key not in wrong]
    else:
        raise unknown("model", name, MODELS)
    if wrong:
        raise PathfinderError(f"network `{brief(name)}` takes no {list_names(wrong)} from a file.")
    for key, of, words in (("num_classes", (int,), "a number"), ("input_shape", (list,), "a list of numbers")):
        if key in arguments and (not isinstance(arguments[key], of) or not _plain(arguments[key])):
            raise PathfinderError(f"{key} must be {words}, got {brief(reprlib.repr(arguments[key]))}.")


_FETCHING = ("weights", "weights_backbone", "pretrained", "pretrained_backbone", "progress")


def _plain(value: Any) -> bool:
    return all(isinstance(part, int | float) for part in (value if isinstance(value, list) else [value]))


def _build_checked(family: type[nn.Module], **arguments: Any) -> nn.Module:
    """Build a network of a family, with arguments converted to its annotations, such as the text `no` to False."""
    module = family.__new__(family)
    validate_call(family.__init__)(module, **arguments)
    return module


def _builder(name: str, offered: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    family, arguments = _SIZES.get(name, (name, {}))
    if family in _FAMILIES:
        return partial(_build_checked, _FAMILIES[family]), {**arguments, **offered}
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
    except (TypeError, ValueError):  # built-in types have no signature
        taken = {}
    return builder, {key: value for key, value in offered.items() if key in taken}
