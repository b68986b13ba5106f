"""What the file of a curve holds besides the curve: the tensors that do not move."""

from torch import Tensor, nn

from pathfinder.errors import PathfinderError
from pathfinder.geometry.curves import Curve
from pathfinder.storage import Checkpoint
from pathfinder.weights.space import WeightSpace
from pathfinder.weights.tensors import load_state

_PREFIX = "fixed."  # of their names in the file


def fixed_tensors(space: WeightSpace) -> dict[str, Tensor]:
    """The tensors that do not move, for the file of a curve: without them its points are not networks."""
    return {f"{_PREFIX}{name}": tensor for name, tensor in space.fixed().items()}


def load_curve_state(module: nn.Module, curve: Curve, file: Checkpoint) -> None:
    """Give a module the weights of the start of a curve, and the tensors that do not move, from the file of the curve.

    Raises:
        PathfinderError: if the curve is another network's.
    """
    fixed = {name.removeprefix(_PREFIX): t for name, t in file.state.items() if name.startswith(_PREFIX)}
    space = WeightSpace(module)
    if len(curve.start) != space.size:
        raise PathfinderError(
            f"{file.path} has {len(curve.start)} weights, but this {type(module).__name__} has {space.size}; name its "
            "own network with --model."
        )
    load_state(module, {**space.split(curve.start), **fixed})
