"""Two ways of scoring the same weights, compared example by example: do they agree as far as they should?"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfinder.data.normalization import describe_normalization
from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderWarning
from pathfinder.geometry.curves import Curve
from pathfinder.scoring.means import Values, estimate
from pathfinder.weights.space import WeightSpace

_LOWEST = 0.01  # nats; the relative difference of two smaller losses says nothing


@dataclass(frozen=True)
class Limits:
    """How far two ways of scoring may differ.

    Attributes:
        error: of an error, in points.
        loss: of losses of which one is above 0.01, relative.
        sigmas: a difference within so many standard errors counts as none.
    """

    error: float
    loss: float
    sigmas: float = 0.0


STATISTICS = Limits(error=0.5, loss=0.05, sigmas=2.0)  # stored against re-estimated statistics of BatchNorm
PRECISION = Limits(error=1.0, loss=0.02)  # bfloat16 against float32


@dataclass(frozen=True)
class Difference:
    """A metric on a split, scored in two ways.

    Attributes:
        metric, split: which.
        expected: its mean, scored as it should be.
        found: its mean, scored in the other way.
        standard_error: of the difference, paired by example.
    """

    metric: str
    split: str
    expected: float
    found: float
    standard_error: float

    def exceeds(self, limits: Limits) -> bool:
        """Whether the difference is larger than it may be; NaN always is."""
        off = abs(self.found - self.expected)
        if off <= limits.sigmas * self.standard_error:
            return False
        if self.metric == "error":
            return not off <= limits.error
        small = self.expected <= _LOWEST and self.found <= _LOWEST
        return self.metric == "loss" and not (off <= limits.loss * self.expected or small)

    def __str__(self) -> str:
        unit, digits = (" %", ".1f") if self.metric == "error" else ("", ".3g")
        return f"{self.split} {self.metric} {self.found:{digits}}{unit} instead of {self.expected:{digits}}{unit}"

    def record(self) -> dict[str, Any]:
        """The entries of run.json."""
        return {
            "metric": f"{self.split}_{self.metric}",
            "expected": self.expected,
            "found": self.found,
            "standard_error": self.standard_error,
        }


def compare(expected: Values, found: Values) -> list[Difference]:
    """The difference of every metric on every split, of the same examples scored in two ways.

    Args:
        expected: the value of each example, scored as it should be.
        found: the same, scored in the other way.

    >>> loss = ("loss", "train")
    >>> [difference] = compare(Values({loss: np.array([1.0, 2.0])}), Values({loss: np.array([1.5, 2.7])}))
    >>> str(difference), difference.exceeds(PRECISION)
    ('train loss 2.1 instead of 1.5', True)
    """
    differences = []
    for (metric, split), values in found.items():
        first, weights = expected[metric, split].astype(np.float64), expected.weights.get((metric, split))
        off = estimate(values.astype(np.float64) - first, weights)
        mean = estimate(first, weights).mean
        differences.append(Difference(metric, split, mean, mean + off.mean, off.error))
    return differences


def largest(differences: Sequence[Difference], limits: Limits) -> Difference | None:
    """The first error that differs by more than it may, else the first such loss, else None."""
    beyond = [one for one in differences if one.exceeds(limits)]
    return min(beyond, key=lambda one: one.metric != "error", default=None)


def warn_of_statistics(
    curve: Curve, space: WeightSpace, values: Callable[[Tensor, Tensor | None], Values], how: str, inputs: Source
) -> None:
    """Warn if an end of a curve has other scores with re-estimated than with its stored statistics of BatchNorm.

    Only an end whose weights are those of the space's network is known with its statistics.

    Args:
        curve: that is scored.
        space: its weight space.
        values: the value of each example at weights, with these statistics or else re-estimated ones.
        how: statistics are re-estimated, a short name.
        inputs: the data that re-estimates them.
    """
    own, stored = space.vector(space.network), space.statistics(space.network)
    for t, theta in enumerate((curve.start, curve.end)):
        if torch.equal(theta.detach().to(own), own):
            off = largest(compare(values(theta, stored), values(theta, None)), STATISTICS)
            if off is not None:
                text = explain_statistics(f"the network at t = {t}", off, how, inputs)
                warnings.warn(text, PathfinderWarning, stacklevel=4)


def explain_statistics(name: str, off: Difference, how: str, inputs: Source) -> str:
    """What differs between stored and re-estimated statistics of BatchNorm, why, and what to set.

    Args:
        name: of what was scored.
        off: the difference.
        how: statistics were re-estimated, a short name.
        inputs: the data that re-estimated them.
    """
    source = "inputs as in training" if how == "training" else "clean inputs"
    advice = "" if how == "training" else "batch_norm = training, or "
    return (
        f"{name} with BatchNorm re-estimated from {source} has a {off} with its stored statistics: it was trained on "
        f"other inputs than these (crop {inputs.crop}, flip {str(inputs.flip).lower()}, normalisation "
        f"{describe_normalization(inputs)}), or so briefly that its running averages lag behind its weights; set "
        f"{advice}crop, flip, mean and std of the data as in its training."
    )
