"""Checks that scores mean what they seem to: BatchNorm's statistics at the ends of a path, and bfloat16.

Each compares two ways of scoring the same weights; run.json records the outcome.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from pathfinder.data.normalization import describe_normalization
from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError, PathfinderWarning
from pathfinder.experiment.folder import Run
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve
from pathfinder.scoring.checks import PRECISION, STATISTICS, Difference, compare, largest
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.means import Values
from pathfinder.scoring.scores import Scores
from pathfinder.tables.score_names import score_columns


@runtime_checkable
class Maker(Protocol):
    """Makes an evaluator of a few examples in a precision."""

    def __call__(self, *, precision: str) -> Evaluator: ...


class Checks:
    """The checks of a run.

    Args:
        run: keeps what was compared, and records it.
        precision: in which the run scores; float32 needs no check.
        active: whether bfloat16 is checked.

    Attributes:
        failures: a line for each path that bfloat16 scores wrongly where it is worst.
    """

    def __init__(self, run: Run, precision: str, active: bool = True) -> None:
        self._run, self._active = run, active and precision != "fp32"
        self._precision = precision
        self.failures: list[str] = []

    def minimum(self, name: str, key: str, make: Maker, theta: Tensor, statistics: Tensor) -> None:
        """Stop before anything is scored if bfloat16 gives a minimum other scores than float32.

        Args:
            name: of the minimum.
            key: what its scores depend on.
            make: gives the evaluators.
            theta: the weights.
            statistics: of BatchNorm, those stored with them.

        Raises:
            PathfinderError: if it does.
        """
        self._compare(name, key, lambda precision: make(precision=precision).values(theta, statistics))

    def before(self, name: str, key: str, make: Maker, geometry: Geometry) -> None:
        """The same for both ends of a path, or for the origin of a plane or ray, before it is scored."""
        if isinstance(geometry, Curve):
            for side, t in (("a", 0.0), ("b", 1.0)):
                self._compare(f"{name}-{side}", key, partial(_values_at, make, geometry, t))
        else:
            origin = geometry(torch.zeros(1, len(geometry.axes), dtype=torch.float64).squeeze(-1))[0]
            self._compare(name, key, lambda precision: make(precision=precision).values(origin))

    def worst(self, name: str, key: str, make: Maker, curve: Curve, scores: Scores) -> None:
        """Check the point of a path at which its loss is largest; if bfloat16 is wrong there, add to `failures`."""
        if not self._active:
            return
        column = score_columns(scores.table, "loss")[0]
        t = float(scores.table["t"].iloc[scores.table[column].argmax()])
        try:
            self._compare(f"{name} at t = {t:.4g}", key, partial(_values_at, make, curve, t))
        except PathfinderError as error:
            self.failures.append(str(error))

    def raise_failures(self) -> None:
        """End the run, whose tables are written, with the first failure.

        Raises:
            PathfinderError: if there is one.
        """
        if self.failures:
            raise PathfinderError(self.failures[0])

    def ends(self, name: str, key: str, evaluator: Evaluator, curve: Curve, statistics: Sequence[Tensor]) -> None:
        """Compare both ends of a path with the statistics stored with them, and as the evaluator re-estimates them.

        Args:
            name: of the pair.
            key: what the scores depend on.
            evaluator: scores the path.
            curve: the path.
            statistics: those stored with its ends.
        """
        how, values = evaluator.statistics_from, evaluator.values
        for side, theta, own in zip("ab", (curve.start, curve.end), statistics, strict=True):
            found = self._kept(f"{how} {name}-{side}", key, partial(values, theta, own), partial(values, theta))
            self.statistics(f"{name}-{side}", found, how, evaluator.data["train"])

    def statistics(self, name: str, differences: list[Difference], how: str, train: Source) -> None:
        """Warn where re-estimated statistics give a minimum other scores than those stored with it, and record it.

        Args:
            name: of the minimum.
            differences: its scores with stored and with re-estimated statistics.
            how: they were re-estimated: `training` or `reestimate`.
            train: the split they were re-estimated from.
        """
        off = largest(differences, STATISTICS)
        self._run.record_check("batch_norm", name, off is None, [one.record() for one in differences])
        if off is not None:
            warnings.warn(_explain(name, off, how, train), PathfinderWarning, stacklevel=2)

    def _compare(self, name: str, key: str, score: Callable[[str], Values]) -> None:
        if not self._active:
            return
        both = partial(score, "fp32"), partial(score, self._precision)
        differences = self._kept(f"{self._precision} {name}", key, *both)
        off = largest(differences, PRECISION)
        self._run.record_check(self._precision, name, off is None, [one.record() for one in differences])
        if off is not None:
            raise PathfinderError(
                f"{name} in bfloat16 has a {off} in float32, more than rounding should change; score with fp32 (in a "
                'config, score.precision = "fp32"), or skip this check with precision_check = false '
                "(--no-precision-check)."
            )

    def _kept(
        self, name: str, key: str, expected: Callable[[], Values], found: Callable[[], Values]
    ) -> list[Difference]:
        """What two ways of scoring give, kept in the run."""
        with self._run.stage(f"check {name}", key) as (stage, _):
            kept: dict[str, Any] | None = stage.load()
            if kept is None:
                kept = {"differences": [vars(one) for one in compare(expected(), found())]}
                stage.save(kept)
        return [Difference(**one) for one in kept["differences"]]


def _values_at(make: Maker, curve: Curve, t: float, precision: str) -> Values:
    """The value of each example at one point of a path."""
    scores = make(precision=precision).score(curve, torch.tensor([t], dtype=torch.float64))
    found = Values({key: values[0] for key, values in scores.per_example.items()})
    found.weights = scores.weights
    return found


def _explain(name: str, off: Difference, how: str, train: Source) -> str:
    """What differs, why, and what to set."""
    source = "inputs as in training" if how == "training" else "clean inputs"
    advice = "" if how == "training" else "batch_norm = training, or "
    return (
        f"{name} with BatchNorm re-estimated from {source} has a {off} with its stored statistics: it was trained on "
        f"other inputs than these (crop {train.crop}, flip {str(train.flip).lower()}, normalisation "
        f"{describe_normalization(train)}), or so briefly that its running averages lag behind its weights; set "
        f"{advice}crop, flip, mean and std of the data as in its training."
    )
