"""Scores: the table of what `Evaluator.score` computes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from torch import Tensor

from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve
from pathfinder.scoring.means import fill_counts


@dataclass(frozen=True)
class Closeness:
    """How well a path or plane is known that was scored where it matters.

    Attributes:
        reached: whether the tolerance was reached before the points were used up.
        error: by how much losses were off where they were interpolated just before they were scored, in the last round
            of points. Of a path, the largest, relative to the loss; NaN if the first points were enough. Of a plane,
            that of log(loss + 0.01) at 95 % of these points.
    """

    reached: bool
    error: float


@dataclass(repr=False)
class Scores:
    """Loss and metrics at the points of a line, curve, ray or plane.

    Attributes:
        table: a row per point: coordinates, `arc_length` for paths, `norm`, then the mean of each metric on each split
            (`train_loss`, ...), its standard error over the examples (`train_loss_se`, ...), and how many examples
            were scored and how many re-estimated BatchNorm. Where a metric is NaN for some examples, a further column
            counts the others (`test_f1_examples`).
        per_example: for paths, (points, examples) by metric and split: the mean over the tokens of each example.
        length: of the path, in weight space; None for planes.
        chord: the distance between the path's ends; None for planes.
        kind: of the geometry, such as `bezier`.
        weights: for paths, (examples,) by metric and split, where the examples count differently.
        closeness: how well a path or plane is known whose points were chosen by its losses; None if they were given.

    >>> Scores(pd.DataFrame({"t": [0.0, 1.0], "train_loss": [0.1, 0.2], "train_loss_se": [0.01, 0.01]}), kind="line")
    Scores(line: 2 points of train_loss)
    """

    table: pd.DataFrame
    per_example: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    length: float | None = None
    chord: float | None = None
    kind: str | None = None
    weights: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    closeness: Closeness | None = None

    @property
    def losses(self) -> dict[str, np.ndarray]:
        """The losses of every example, (points, examples) by split."""
        return {split: values for (metric, split), values in self.per_example.items() if metric == "loss"}

    def weights_of(self, metric: str, split: str) -> np.ndarray | None:
        """The weights of the examples in the mean of a metric; None if all count alike.

        They are (examples,), or (points, examples) if the metric is NaN for some, which are left out of its mean.
        """
        weights, values = self.weights.get((metric, split)), self.per_example[metric, split]
        if metric == "loss" or not np.isnan(values).any():
            return weights
        return np.where(np.isnan(values), 0.0, 1.0 if weights is None else weights)

    def between(self) -> "Scores":
        """The points of a path from t = 0 to t = 1."""
        inside = ((self.table["t"] >= 0) & (self.table["t"] <= 1)).to_numpy()
        if inside.all():
            return self
        values = {key: rows[inside] for key, rows in self.per_example.items()}
        return replace(self, table=self.table[inside].reset_index(drop=True), per_example=values)

    def __repr__(self) -> str:
        metrics = [column for column in self.table.columns if f"{column}_se" in self.table.columns]
        points = f"{len(self.table)} point{'' if len(self.table) == 1 else 's'}"
        return f"Scores({f'{self.kind}: ' if self.kind else ''}{points} of {', '.join(metrics)})"


Stacked = dict[tuple[str, str], np.ndarray]
Point = tuple[dict[str, float], dict[tuple[str, ...], Tensor]]  # means and standard errors; the value of each example


def gather(
    geometry: Geometry,
    t: Float[Tensor, "points *coordinates"],
    scored: Sequence[Point],
    data: Mapping[str, Source],
    columns: Mapping[str, Any],
    closeness: Closeness | None = None,
) -> Scores:
    """The scores of a geometry from those of its points.

    Args:
        geometry: the line, curve, ray or plane.
        t: the coordinates of its points.
        scored: what was found at each.
        data: the splits.
        columns: further columns of the table, the same in every row.
        closeness: how well a path is known whose points were chosen by its losses.
    """
    at = dict(zip(geometry.axes, t.view(len(t), -1).T.numpy(), strict=True))
    if isinstance(geometry, Curve):
        at["arc_length"] = geometry.arc_length(t).numpy()
    table = pd.DataFrame({**at, "norm": geometry.norm(t).numpy()})
    table = pd.concat([table, pd.DataFrame([row for row, _ in scored])], axis=1)
    table = fill_counts(table, data).assign(**columns)
    if not isinstance(geometry, Curve):
        if closeness is not None:
            table = table.assign(interpolation_gap=closeness.error, converged=closeness.reached)
        return Scores(table, kind=geometry.kind(), closeness=closeness)
    stacked, weights = _stack([values for _, values in scored])
    return Scores(table, stacked, geometry.length(), geometry.chord(), geometry.kind(), weights, closeness)


def _stack(points: Sequence[Mapping[tuple[str, ...], Tensor]]) -> tuple[Stacked, Stacked]:
    """The values of all points, (points, examples) by metric and split; and the weights of the examples.

    Args:
        points: what `Values.tensors` gives at each.

    Raises:
        PathfinderError: if weights differ between points.
    """
    values: Stacked = {}
    weights: Stacked = {}
    for metric, split, *kind in dict.fromkeys(key for point in points for key in point):
        rows = [point[metric, split, *kind].numpy() for point in points if (metric, split, *kind) in point]
        if not kind:
            values[metric, split] = np.stack(rows)
        elif len(rows) == len(points) and all(np.array_equal(row, rows[0]) for row in rows):
            weights[metric, split] = rows[0]
        else:
            raise PathfinderError(
                f"the weights of `{metric}` differ between points of the path in split {split}; compute them from the "
                "targets, not from the output."
            )
    return values, weights


def means(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores of `Evaluator.at` without their standard errors."""
    return {name: value for name, value in scores.items() if not name.endswith("_se")}
