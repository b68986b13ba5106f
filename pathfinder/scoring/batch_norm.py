"""BatchNorm's running statistics at a point of weight space: re-estimated there, as stored, or interpolated.

They belong to the weights with which they were measured, so every point of a path needs its own. Along paths they are
re-estimated from inputs as training prepared them (Garipov et al. 2018); around one minimum, commands and experiments
keep those that are stored with it (Li et al. 2018).
"""

import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from pathfinder.compute import evaluation_mode, own_draws
from pathfinder.data.batching import Tree, count
from pathfinder.data.sources import Source, as_source
from pathfinder.data.split import explain_dtype_errors
from pathfinder.errors import PathfinderError, PathfinderWarning, unknown
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve
from pathfinder.settings import describe, whole
from pathfinder.weights.space import Fixed, WeightSpace, check_statistics
from pathfinder.weights.tensors import has_running


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


def check_ends(policy: Policy, space: WeightSpace, geometry: Geometry) -> None:
    """Refuse to score both ends of a path with the stored statistics of one network.

    Raises:
        PathfinderError: if that would happen.
    """
    if isinstance(policy, Stored) and space.has_statistics and isinstance(geometry, Curve):
        raise PathfinderError(
            "stored BatchNorm statistics are those of one network, but a path has two ends; pass those of both, "
            "statistics=[space.statistics(a), space.statistics(b)], to mix them with C(t), or re-estimate them with "
            "batch_norm='training'."
        )


class NormInputs:
    """The inputs on which running statistics, or the moments of hidden units, are measured.

    Args:
        wanted: which inputs, and how many.
        splits: where `train` is found if `wanted` has no data.
        seed: draws the subset, the crops and flips, and what a loader draws with torch's generator on each pass.
        device: where the inputs are needed.

    Raises:
        PathfinderError: if there is no split `train`.
    """

    def __init__(self, wanted: Reestimate, splits: Mapping[str, Source], seed: int, device: torch.device) -> None:
        found = splits.get("train") if wanted.data is None else as_source(wanted.data)
        if found is None:
            raise PathfinderError(
                f"re-estimating BatchNorm needs the split `train`, got {', '.join(splits)}; pass batch_norm_data=."
            )
        self.augmented, self.random = wanted.augmented, bool(found.crop or found.flip)
        self._chosen, self._seed, self._device = found.subset(wanted.examples, seed + 1), seed, device

    def __len__(self) -> int:
        with self._drawn():
            return len(self._chosen)

    @cached_property
    def source(self) -> Source:
        """The inputs on the device; cropped and flipped only when they are first used."""
        source = self._chosen.augment_once(self._seed + 1) if self.augmented else self._chosen
        return source.to(self._device)

    def batches(self, size: int) -> Iterator[tuple[Tree, Tree]]:
        """The batches, the same on every pass even where a loader draws its crops with torch's generator."""
        with self._drawn():
            yield from self.source.batches(size)

    @contextmanager
    def _drawn(self) -> Generator[None, None, None]:
        with own_draws(self._device) as draw:
            draw(self._seed + 1)
            yield

    def warn_if_clean(self) -> None:
        """Warn where training augments its images and these are clean."""
        if self.random and not self.augmented:
            warnings.warn(
                "BatchNorm is re-estimated from clean images, but training crops or flips them; scores may be worse "
                "than the networks' own. batch_norm = training re-estimates from images as in training.",
                PathfinderWarning,
                stacklevel=4,  # the line that makes the Evaluator
            )


def reestimate(
    space: WeightSpace,
    thetas: Sequence[Tensor],
    inputs: NormInputs,
    batch_size: int,
    output: Callable[[Fixed, Any], Any],
) -> list[Fixed]:
    """The tensors that are not part of theta, with the running statistics measured at each point.

    mean = sum_k b_k / N mean_k and variance = sum_k b_k / N s_k^2 over batches k of b_k examples with unbiased
    variance s_k^2: the mean of the batches' variances, which leaves out the spread between batches. They depend on
    the batch size for that reason. Dropout is off.

    Args:
        space: the weight space.
        thetas: the points.
        inputs: what passes through the network.
        batch_size: examples per pass.
        output: the network's output for all of its tensors and an input.
    """
    source = inputs.source
    fixed = [space.fixed(None, theta.device) for theta in thetas]
    for own in fixed:
        space.zero_statistics(own)
    points = [{**space.split(theta), **own} for theta, own in zip(thetas, fixed, strict=True)]
    seen = 0
    with torch.no_grad(), explain_dtype_errors(source, space.dtype), estimation_mode(space.network) as layers:
        for x, _ in inputs.batches(batch_size):
            seen += count(x)
            for layer in layers:
                layer.momentum = count(x) / seen  # 1 for the first batch, which so replaces what was stored
            for tensors in points:
                output(tensors, x)
    return fixed


def interpolate(
    statistics: Sequence[Tensor], c: Float[Tensor, " anchors"], t: Float[Tensor, "1 *coordinates"]
) -> Float[Tensor, " statistics"]:
    """The running statistics of all anchors mixed with C(t), or those of two ends with 1 - t and t.

    Raises:
        PathfinderError: if there are neither as many statistics as anchors nor two.
    """
    if len(statistics) != len(c):
        if len(statistics) != 2 or t.ndim != 1:
            raise PathfinderError(
                f"batch_norm='interpolate' needs statistics of the 2 ends or of all {len(c)} anchors, got "
                f"{len(statistics)}."
            )
        c = torch.cat([1 - t, t])  # as if the bends lay on the straight line between the ends
    total = c[0].float() * statistics[0]
    for share, own in zip(c[1:], statistics[1:], strict=True):
        total = total + share.float() * own
    return total
