"""A trial run of a network on two examples, before any work."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pathfinder.compute import evaluation_mode
from pathfinder.data.sources import Source
from pathfinder.data.split import Split
from pathfinder.errors import PathfinderError, users_code
from pathfinder.scoring.losses import as_logits, cross_entropy
from pathfinder.weights.space import WeightSpace


def probe(module: nn.Module, data: Mapping[str, Source], name: str, sizes: Sequence[int] = ()) -> None:
    """Check that a module can score two examples of each split.

    Args:
        module: the network.
        data: the splits.
        name: of the network, for the error.
        sizes: the smallest batches that its BatchNorm layers, if any, will normalise.

    Raises:
        PathfinderError: if it cannot, since it is made for other data; or BatchNorm would see a single example.
    """
    if 1 in sizes and any(isinstance(layer, _BatchNorm) for layer in module.modules()):
        raise PathfinderError(
            f"network `{name}` has BatchNorm, which needs 2 examples or more at a time, got 1; raise batch_size, "
            "micro_batch_size or the number of examples."
        )
    space = WeightSpace(module)
    theta = space.vector(module)
    for split, source in data.items():
        with users_code(f"data `{split}` gives no batch", "fix the code that makes them"):
            x, y = next(iter(source.subset(2, seed=0).batches(2)))
        what = f"network `{name}` cannot score the data (split {split}, inputs {source.input_shape})"
        with (
            users_code(what, "choose a network and data that belong together"),
            torch.no_grad(),
            evaluation_mode(space.network),
        ):
            output = space.call(theta, x)
            cross_entropy(output, y)
        classes = as_logits(output).shape[1]
        if isinstance(source, Split) and source.classes is not None and int(source.y.max()) >= classes:
            raise PathfinderError(
                f"labels must be 0 to {classes - 1} for network `{name}`, got {int(source.y.max())} in the split "
                f"{split}; choose data and a network with the same classes."
            )
