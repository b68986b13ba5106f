"""Where pieces of work that score or measure points are done: what they ask of it, and what it has kept."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from pathfinder.data.sources import Source
from pathfinder.experiment.engines import kept_file
from pathfinder.experiment.pieces import CHOICE, Target
from pathfinder.geometry.base import Geometry
from pathfinder.landscape.curvature import measure_points
from pathfinder.landscape.settings import Curvature
from pathfinder.progress import Progress
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.settings import ALL, Examples
from pathfinder.storage.resume import Stage, read_key, read_state
from pathfinder.weights.space import WeightSpace


@dataclass(frozen=True)
class Scored:
    """Points of a geometry, and what scores them."""

    evaluator: Evaluator
    geometry: Geometry
    t: Tensor


@dataclass(frozen=True)
class Measured:
    """Points of a geometry at which the curvature is measured, on which data, and how."""

    space: WeightSpace
    geometry: Geometry
    t: Tensor
    data: Source
    evaluator: Evaluator  # finds the statistics of BatchNorm
    settings: Curvature

    def measure(self, t: Tensor, progress: Progress, stage: Stage) -> list[dict[str, Any]]:
        """What is measured at some points."""
        keys = {"tolerance", "most", "samples", "batch_size", "parameters"}
        return measure_points(
            self.space, self.geometry, t, self.data, alone=len(self.t) == 1, progress=progress, stage=stage,
            device=str(self.evaluator.device), seed=self.evaluator.seed,
            statistics=self.evaluator.reestimate if self.evaluator.reestimates else None,
            **self.settings.model_dump(include=keys),
        )  # fmt: skip


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


def kept_result(folder: Path, name: str) -> dict[str, Any]:
    """The result of a piece that was done in this run."""
    return read_state(kept_file(folder, name))


def chosen_examples(folder: Path, path: str) -> Examples:
    """How many examples were chosen for a path; all if that was not done, or its file is damaged."""
    name = f"{CHOICE} {path}"
    if read_key(kept_file(folder, name)) is None:
        return ALL
    result = kept_result(folder, name)
    return Examples(result.get("scored"), result.get("batch_norm"))
