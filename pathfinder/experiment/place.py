"""Where pieces of work that score or measure points are done: what they ask of it."""

import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError
from pathfinder.experiment.pieces import Target
from pathfinder.geometry.base import Geometry
from pathfinder.landscape.curvature import measure_points, ratios_of
from pathfinder.landscape.settings import Curvature
from pathfinder.progress import Progress, silent
from pathfinder.scoring.adaptive_plane import losses_of
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.means import Values
from pathfinder.scoring.settings import Examples
from pathfinder.storage.keys import code_of, is_import_path
from pathfinder.storage.resume import Stage
from pathfinder.weights.space import WeightSpace


@dataclass(frozen=True)
class Scored:
    """Points of a geometry, and what scores them."""

    evaluator: Evaluator
    geometry: Geometry
    t: Tensor

    def work(self, t: Tensor, progress: Progress, stage: Stage) -> list[Any]:
        """Score some points."""
        return self.evaluator.score_points(self.geometry, t, progress=progress, stage=stage)

    def values_of(self, points: Sequence[Any]) -> np.ndarray:
        """What chooses further points: the losses."""
        return losses_of(points)

    def values(self, t: Tensor, progress: Progress = silent) -> list[Values]:
        """The value of each example at some points of a path."""
        scores = self.evaluator.score(self.geometry, t, check=False, progress=progress)  # pieces check each end once
        found = [Values({key: rows[i] for key, rows in scores.per_example.items()}) for i in range(len(t))]
        for values in found:
            values.weights = scores.weights
        return found


@dataclass(frozen=True)
class Measured:
    """Points of a geometry at which the curvature is measured, on which data, and how."""

    space: WeightSpace
    geometry: Geometry
    t: Tensor
    data: Source
    evaluator: Evaluator  # finds the statistics of BatchNorm
    settings: Curvature

    def values_of(self, points: Sequence[Any]) -> np.ndarray:
        """What chooses further points: the ratios of the eigenvalues."""
        return ratios_of(points)

    def work(self, t: Tensor, progress: Progress, stage: Stage) -> list[Any]:
        """Measure the curvature at some points."""
        return measure_points(
            self.space, self.geometry, t, self.data, alone=len(self.t) == 1, progress=progress, stage=stage,
            device=str(self.evaluator.device), seed=self.evaluator.seed,
            statistics=self.evaluator.reestimate if self.evaluator.reestimates else None,
            **self.settings.method,
        )  # fmt: skip


def check_inputs(found: str, expected: str) -> None:
    """Check that this process finds the data, the weights and the code that the keys of the pieces were made from.

    Args:
        found: their key here.
        expected: their key where the plan was made.

    Raises:
        PathfinderError: if they differ.
    """
    if expected != found:
        raise PathfinderError(
            f"a worker on {platform.node()} finds other data, weights or code than the run began with; give all "
            "workers the same files, restart those that ran before, and start the run again."
        )


_IMPORTED: dict[str, str | None] = {}  # the source of the user's code when this process first worked with it


def check_code(names: Iterable[str]) -> None:
    """Check that this process, a worker, has not imported an earlier version of the user's code.

    Args:
        names: of networks, data sets and curves; those that are import paths matter.

    Raises:
        PathfinderError: if it has.
    """
    for name in filter(is_import_path, names):
        code = code_of(name)
        if _IMPORTED.setdefault(name, code) != code:
            raise PathfinderError(
                f"a worker on {platform.node()} imported `{name}` before its source changed; restart the workers, and "
                "start the run again."
            )


@runtime_checkable
class Place(Protocol):
    """Where pieces of work that score or measure points are done."""

    @property
    def folder(self) -> Path:
        """Of the run."""
        ...

    @property
    def device(self) -> str:
        """Where it computes."""
        ...

    def given(self, target: Target) -> Examples:
        """How many examples are given for a target; all where it chooses them."""
        ...

    def examples(self, target: Target) -> Examples:
        """How many examples a target uses; all until the piece that chooses them is done."""
        ...

    def scored(self, target: Target, examples: Examples | None = None, precision: str | None = None) -> Scored:
        """What a target means.

        Args:
            target: what is scored.
            examples: how many are used; as `examples` says if not given.
            precision: of the scores; that of the run if not given.
        """
        ...

    def measured(self, target: Target) -> Measured:
        """The same, for the curvature at its points."""
        ...
