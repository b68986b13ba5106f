"""BatchNorm's running statistics at a point of weight space: re-estimated there, as stored, or interpolated.

They belong to the weights with which they were measured, so every point of a path needs its own. Along paths they are
re-estimated from inputs as training prepared them (Garipov et al. 2018); around one minimum, commands and experiments
keep those that are stored with it (Li et al. 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from pathfinder.errors import PathfinderError, unknown
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve
from pathfinder.geometry.planes import Plane
from pathfinder.settings import describe, whole
from pathfinder.weights.space import WeightSpace, check_statistics

BatchNormName = Literal["training", "reestimate", "stored", "interpolate", "augmented"]
_NAMES = ("training", "reestimate", "stored", "interpolate")  # `augmented` is an older name of `training`


def modern_name(name: BatchNormName) -> BatchNormName:
    """The name, or `training` for its older name `augmented`."""
    return "training" if name == "augmented" else name


@dataclass(frozen=True, eq=False)
class Reestimate:
    """Measure the running statistics at every point (Garipov et al. 2018, section 3.2); see `reestimate`.

    Args:
        data: the inputs: a Split, a pair (x, y), or an iterable of batches; the split `train` if not given.
        examples: how many of them, a fixed subset drawn by the evaluator's seed; all if not given.
        augmented: whether inputs are prepared as in training, which is what the weights expect: images of a split with
            `crop` or `flip` are cropped and flipped once, drawn by the evaluator's seed; others are taken as they are.
            The short name `training` stands for this.

    >>> Reestimate(examples=1000, augmented=True)
    Reestimate(examples=1000, augmented=True)
    """

    data: Any = None
    examples: int | None = None
    augmented: bool = False

    def __post_init__(self) -> None:
        if self.examples is not None:
            whole(self.examples, "batch_norm_examples", 1)
        if not isinstance(self.augmented, bool):
            raise PathfinderError(f"augmented must be True or False, got {self.augmented!r}.")

    @property
    def name(self) -> str:
        """Its short name, as tables write it."""
        return "training" if self.augmented else "reestimate"

    def __repr__(self) -> str:
        given = {"data": "..." if self.data is not None else None, "examples": self.examples}
        fields = [f"{name}={value}" for name, value in given.items() if value is not None]
        return f"Reestimate({', '.join([*fields, *(['augmented=True'] if self.augmented else [])])})"


@dataclass(frozen=True)
class Stored:
    """Keep the running statistics that are stored in the module: right at its own weights, and near them.

    They are those of one network, so the two ends of a path cannot both be scored with them; see `Interpolate`.

    >>> Stored()
    Stored()
    """

    name = "stored"


class Interpolate:
    """Mix the running statistics of the two ends of a path, or of all its anchors, with the coefficients C(t).

    Args:
        *statistics: what `WeightSpace.statistics` gives for each end, a then b, or for each anchor in order.

    >>> import torch
    >>> Interpolate(torch.zeros(8), torch.ones(8))
    Interpolate(2 points)
    """

    name = "interpolate"

    def __init__(self, *statistics: Tensor) -> None:
        self.statistics = statistics

    def __repr__(self) -> str:
        return f"Interpolate({len(self.statistics)} points)"


Policy = Reestimate | Stored | Interpolate


def policy_of(
    given: Policy | str, space: WeightSpace, statistics: Sequence[Tensor] | None, data: Any, examples: int | None
) -> tuple[Policy, Reestimate]:
    """The policy that a name and its arguments stand for, and the inputs on which units are measured.

    Args:
        given: a policy, or its short name.
        space: the space in which it is used.
        statistics: for `interpolate`; and for `stored` along a path, whose ends keep their own: that is the same.
        data: inputs, for `reestimate` and `training`, and for repair whatever the name.
        examples: how many of these inputs are used.

    Raises:
        PathfinderError: if the name is unknown, statistics are missing or another network's, or a policy is given
            together with arguments that belong in it.
    """
    if isinstance(given, Policy):
        extra = {"statistics": statistics, "batch_norm_data": data, "batch_norm_examples": examples}
        for name, value in extra.items():
            if value is not None:
                raise PathfinderError(f"{name} goes with a short name of batch_norm; give it to {given!r} instead.")
        policy, inputs = given, given if isinstance(given, Reestimate) else Reestimate()
    elif isinstance(given, str) and given in (*_NAMES, "augmented"):
        inputs = Reestimate(data, examples, augmented=given in ("training", "augmented"))
        if not isinstance(statistics, list | tuple | None):
            raise PathfinderError(f"statistics must be a list, [those at a, those at b], got {describe(statistics)}.")
        mixed = given == "interpolate" or (given == "stored" and statistics)
        policy = Interpolate(*(statistics or ())) if mixed else Stored() if given == "stored" else inputs
    else:
        raise unknown("batch_norm", given, _NAMES)
    if isinstance(policy, Interpolate):
        for one in policy.statistics:
            check_statistics(one, space.statistics_size, "each of the statistics")
        if space.has_statistics and len(policy.statistics) < 2:
            raise PathfinderError(
                "batch_norm='interpolate' needs statistics=[space.statistics(a), space.statistics(b)]."
            )
    return policy, inputs


def check_between(low: float, high: float) -> None:
    """Check that statistics mixed with C(t) lie between those of the ends: beyond them variances can be negative.

    Args:
        low, high: the smallest and the largest t.

    Raises:
        PathfinderError: if they do not.
    """
    if low < 0 or high > 1:
        raise PathfinderError(
            "BatchNorm statistics of two ends are mixed between them, t = 0 to 1, got "
            f"t = {low if low < 0 else high:.4g}; score that range, or re-estimate them with batch_norm = training."
        )


def check_ends(policy: Policy, space: WeightSpace, geometry: Geometry, t: Tensor) -> None:
    """Refuse to score several networks with the stored statistics of one, or points beyond mixed ones.

    Raises:
        PathfinderError: if that would happen.
    """
    if isinstance(policy, Interpolate) and space.has_statistics and t.ndim == 1 and isinstance(geometry, Curve):
        check_between(float(t.min()), float(t.max()))
    if not (isinstance(policy, Stored) and space.has_statistics):
        return
    if isinstance(geometry, Curve):
        raise PathfinderError(
            "stored BatchNorm statistics are those of one network, but a path has two ends; pass those of both, "
            "statistics=[space.statistics(a), space.statistics(b)], to mix them with C(t), or re-estimate them with "
            "batch_norm='training'."
        )
    if isinstance(geometry, Plane) and len(geometry.landmarks) > 1:
        raise PathfinderError(
            f"stored BatchNorm statistics are those of one network, but this plane goes through "
            f"{len(geometry.landmarks)}; re-estimate them with batch_norm='training'."
        )
