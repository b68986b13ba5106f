"""Small versions of the package's own models, for laws over all of them."""

import torch
from torch import Tensor, nn

from pathfinder import build_model
from pathfinder.symmetry.proof import disturb

MODELS = {
    "mlp": ({"widths": [8, 6]}, (1, 8, 8)),
    "convnet": ({"widths": [4, 6]}, (1, 8, 8)),
    "convnet-bn": ({"widths": [4, 6]}, (1, 8, 8)),
    "vgg9": ({"width": 0.0625}, (3, 32, 32)),
    "vgg16": ({"width": 0.0625, "batch_norm": True}, (3, 32, 32)),
    "resnet20": ({"width": 0.25}, (3, 16, 16)),
    "resnet20-noshort": ({"width": 0.25}, (3, 16, 16)),
    "wrn56-2": ({"depth": 14}, (3, 16, 16)),
    "preresnet110": ({"depth": 20}, (3, 16, 16)),
    "wrn28-10": ({"depth": 10, "width": 1}, (3, 16, 16)),
}


def disturbed_model(name: str) -> tuple[nn.Module, Tensor]:
    """One of MODELS whose weights differ from their initial values, and two inputs for it."""
    arguments, shape = MODELS[name]
    module = build_model(name, input_shape=shape, seed=0, **arguments)
    disturb(module)  # norms as they are initialised are the same in every order
    return module, torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
