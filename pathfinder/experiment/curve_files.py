"""What the file of a curve holds besides the curve: the tensors that do not move, and BatchNorm's at both ends."""

from collections.abc import Sequence

from torch import Tensor, nn

from pathfinder.errors import PathfinderError
from pathfinder.geometry.curves import Curve
from pathfinder.storage import Checkpoint
from pathfinder.weights.space import WeightSpace
from pathfinder.weights.tensors import load_state

_PREFIX = "fixed."  # of the names of tensors that do not move, in the file
_STATISTICS = ("statistics.start", "statistics.end")


def further_tensors(space: WeightSpace, statistics: Sequence[Tensor]) -> dict[str, Tensor]:
    """What the file of a curve holds besides it.

    Args:
        space: its tensors that do not move make the points of the curve networks.
        statistics: the running statistics of BatchNorm that are stored with both ends.
    """
    fixed = {f"{_PREFIX}{name}": tensor for name, tensor in space.fixed().items()}
    return fixed | (dict(zip(_STATISTICS, statistics, strict=True)) if space.has_statistics else {})


def end_statistics(file: Checkpoint, space: WeightSpace) -> list[Tensor] | None:
    """The running statistics of both ends in the file of a curve; None where it has none, or another network's."""
    found = [file.state.get(name) for name in _STATISTICS]
    kept = [one for one in found if one is not None and one.shape == (space.statistics_size,)]
    return kept if len(kept) == len(found) and space.has_statistics else None


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
