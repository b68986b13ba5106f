"""Files of curves: their anchors, and the tensors that do not move."""

from torch import Tensor, nn

from pathfinder.errors import PathfinderError
from pathfinder.geometry.curves import Curve
from pathfinder.storage import Checkpoint
from pathfinder.weights.space import WeightSpace
from pathfinder.weights.tensors import load_state

_BESIDE = "fixed."  # what a curve's file calls the tensors that do not move


def beside_curve(space: WeightSpace) -> dict[str, Tensor]:
    """The tensors that do not move, to be kept in a curve's file: its points are no networks without them."""
    return {f"{_BESIDE}{name}": tensor for name, tensor in space.fixed().items()}


def load_curve_state(module: nn.Module, curve: Curve, file: Checkpoint) -> None:
    """Give a module the weights of a curve's start, and the tensors that do not move as the curve's file holds them.

    Raises:
        PathfinderError: if the curve is another network's.
    """
    fixed = {name.removeprefix(_BESIDE): t for name, t in file.state.items() if name.startswith(_BESIDE)}
    space = WeightSpace(module)
    if len(curve.start) != space.size:
        raise PathfinderError(
            f"{file.path} has {len(curve.start)} weights, but this {type(module).__name__} has {space.size}; name its "
            "own network with --model."
        )
    load_state(module, {**space.split(curve.start), **fixed})
