"""Checks that scores mean what they seem to: BatchNorm's statistics at the ends of a path, and bfloat16.

Each compares two ways of scoring the same weights; run.json records the outcome.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError, PathfinderWarning
from pathfinder.experiment.folder import Run
from pathfinder.experiment.kept import kept_result
from pathfinder.experiment.pieces import Piece, Target
from pathfinder.experiment.place import Place, Scored
from pathfinder.geometry.curves import Curve
from pathfinder.geometry.planes import Plane
from pathfinder.scoring.checks import PRECISION, STATISTICS, Difference, compare, explain_statistics, largest
from pathfinder.scoring.means import Values
from pathfinder.scoring.scores import Scores
from pathfinder.scoring.settings import FEW
from pathfinder.tables.score_names import score_columns

_OF_STATISTICS = ("score_minimum", "check_statistics")
_CHECKS = (*_OF_STATISTICS, "check_precision")

Compared = dict[str, list[dict[str, Any]]]  # the differences of each thing that was scored in two ways, by its name


def compare_precisions(place: Place, name: str, target: Target, scores: Scores | None = None) -> Compared:
    """Score some points in the precision of the run and in float32.

    Args:
        place: where.
        name: of the minimum, or of the path.
        target: what is scored: both ends of a path, the points that a plane was put through, or the origin.
        scores: of the path; then the point with the largest loss instead of its ends.
    """
    geometry = place.scored(target).geometry
    points: dict[str, list[float]]
    if scores is not None:
        column = score_columns(scores.table, "loss")[0]
        worst = float(scores.table["t"].iloc[scores.table[column].argmax()])
        points = {f"{name} at t = {worst:.4g}": [worst]}
    elif isinstance(geometry, Curve):
        points = {f"{name}-a": [0.0], f"{name}-b": [1.0]}
    elif isinstance(geometry, Plane):
        points = {f"{name} at ({x:.4g}, {y:.4g})": [x, y] for x, y in geometry.landmarks.tolist()}
    else:
        points = {name: [0.0] * len(geometry.axes)}
    return {title: _both_precisions(place, target, at) for title, at in points.items()}


def compare_statistics(place: Place, name: str, target: Target, statistics: Sequence[Tensor]) -> Compared:
    """Score both ends of a path with the statistics stored with them, and as they are re-estimated along it.

    Args:
        place, name, target: as for `compare_precisions`.
        statistics: those stored with the ends.
    """
    found = place.scored(target)
    curve, values = found.geometry, found.evaluator.values
    assert isinstance(curve, Curve)
    ends = zip("ab", (curve.start, curve.end), statistics, strict=True)
    return {f"{name}-{side}": _differences(values(theta, own), values(theta)) for side, theta, own in ends}


class Findings:
    """What the checks of a run found: the record shows it, and the user is warned or the run ends.

    Args:
        run: whose record.
        precision: of its scores.
        train: the split that re-estimates BatchNorm.

    Attributes:
        wrong: a line for each path that bfloat16 scores wrongly where it is worst.
    """

    def __init__(self, run: Run, precision: str, train: Source) -> None:
        self._run, self._precision, self._train = run, precision, train
        self.wrong: list[str] = []

    def look(self, piece: Piece) -> None:
        """Look at the result of a piece.

        Raises:
            PathfinderError: if bfloat16 gives a minimum, or the ends of a path, other scores than float32.
        """
        if piece.work not in _CHECKS:
            return
        result = kept_result(self._run.path, piece.name)
        found = {name: [Difference(**row) for row in rows] for name, rows in result["compared"].items()}
        statistics = piece.work in _OF_STATISTICS
        limits = STATISTICS if statistics else PRECISION
        if found:
            entries = {
                name: {"passed": largest(rows, limits) is None, "compared": [row.record() for row in rows]}
                for name, rows in found.items()
            }
            self._run.record_checks("batch_norm" if statistics else self._precision, entries)
        for name, rows in found.items():
            off = largest(rows, limits)
            if off is not None and statistics:
                warnings.warn(
                    explain_statistics(name, off, result["batch_norm"], self._train), PathfinderWarning, stacklevel=2
                )
            elif off is not None and result["scored"]:
                self.wrong.append(_explain_precision(name, off))
            elif off is not None:
                raise PathfinderError(_explain_precision(name, off))


def _both_precisions(place: Place, target: Target, at: list[float]) -> list[dict[str, Any]]:
    """The differences at one point."""
    expected, found = (place.scored(target, FEW, precision) for precision in ("fp32", None))
    return _differences(_values_at(expected, at), _values_at(found, at))


def _values_at(scored: Scored, at: list[float]) -> Values:
    """The value of each example at the point with these coordinates."""
    geometry, t = scored.geometry, torch.tensor([at], dtype=torch.float64)
    if isinstance(geometry, Curve):
        return scored.values(t[0])[0]
    return scored.evaluator.values(geometry(t if len(geometry.axes) > 1 else t[0])[0])


def _differences(expected: Values, found: Values) -> list[dict[str, Any]]:
    return [vars(one) for one in compare(expected, found)]


def _explain_precision(name: str, off: Difference) -> str:
    """What differs, and what to set."""
    return (
        f"{name} in bfloat16 has a {off} in float32, more than rounding should change; score with fp32 (in a config, "
        'score.precision = "fp32"), or skip this check with precision_check = false (--no-precision-check).'
    )
