"""What the commands score: a geometry at coordinates, and the tables that its scores fill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pathfinder.cli.inputs import CurveInput, Minima, open_curve, open_minima
from pathfinder.cli.options import Origin
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve, Line
from pathfinder.geometry.planes import Plane, Ray
from pathfinder.landscape.settings import Surface
from pathfinder.landscape.surfaces import Landscape, build_landscape
from pathfinder.scoring.scores import Scores
from pathfinder.storage.keys import digest_of
from pathfinder.tables.results import PROJECTED, Results
from pathfinder.training.trajectory import trajectory_in

MINIMUM = "minimum"  # what tables call the only minimum of a command


@runtime_checkable
class Target(Protocol):
    """A geometry at coordinates.

    Attributes:
        geometry: the geometry.
        t: the coordinates.
        settings: what the scores depend on besides these two; part of the key of kept work.
    """

    @property
    def geometry(self) -> Geometry: ...
    @property
    def t(self) -> Tensor: ...
    @property
    def settings(self) -> Any: ...

    def tabulate(self, results: Results, pair: str, scores: Scores, rescored: Mapping[str, Scores]) -> None:
        """Add the scores to the tables; the summary of a path follows those on all examples, if there are any."""
        ...


@dataclass(frozen=True)
class PathTarget:
    """Points of a path."""

    geometry: Curve
    t: Float[Tensor, " points"]

    @property
    def settings(self) -> str:
        """The kind of the path."""
        return self.geometry.kind()

    def tabulate(self, results: Results, pair: str, scores: Scores, rescored: Mapping[str, Scores]) -> None:
        """Fill paths.csv and summary.csv."""
        results.add_paths(pair, pair, {self.geometry.kind(): scores}, rescored)


@dataclass(frozen=True)
class PlaneTarget:
    """A grid over the plane of a curve."""

    geometry: Plane
    t: Float[Tensor, "points 2"]
    curve: Curve

    @classmethod
    def of(cls, curve: Curve, points: int, margin: float) -> "PlaneTarget":
        """The plane through the ends of a curve and its middle bend, `points` along each axis."""
        plane = Plane.of(curve)
        return cls(plane, plane.grid(points, margin), curve)

    @property
    def settings(self) -> str:
        """The kind of the curve."""
        return self.curve.kind()

    def tabulate(self, results: Results, pair: str, scores: Scores, rescored: Mapping[str, Scores]) -> None:
        """Fill planes.csv, plane_markers.csv and plane_paths.csv."""
        kind, line = self.curve.kind(), Line(self.curve.start, self.curve.end)
        curves = {kind: self.curve, "line": line}
        results.add_plane(pair, kind, self.geometry, scores, curves, self.curve.grid(PROJECTED))


@dataclass(frozen=True)
class LandscapeTarget:
    """A profile or surface around a minimum."""

    landscape: Landscape
    surface: Surface
    epochs: list[int] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)  # of the checkpoints of the trajectory

    @classmethod
    def of(cls, minima: Minima, surface: Surface, trajectory: Path | None = None) -> "LandscapeTarget":
        """Around the first of some minima; a trajectory is a folder of checkpoints of its training."""
        walked = trajectory_in(trajectory, minima.space)
        found = build_landscape(minima.space, minima.thetas[0], surface, walked)
        return cls(found, surface, walked.epochs, [digest_of(theta) for theta in walked.thetas])

    @property
    def geometry(self) -> Geometry:
        """A ray or a plane."""
        return self.landscape.geometry

    @property
    def t(self) -> Tensor:
        """The coordinates."""
        return self.landscape.t

    @property
    def settings(self) -> list[Any]:
        """The surface, and the checkpoints that its directions come from."""
        return [self.surface.model_dump(), self.epochs, self.digests]

    def tabulate(self, results: Results, pair: str, scores: Scores, rescored: Mapping[str, Scores]) -> None:
        """Fill surfaces.csv and trajectory.csv."""
        results.add_surface(pair, MINIMUM, self.surface.title, scores, self.landscape.trajectory)


@dataclass(frozen=True)
class PointTarget:
    """A single point, as the origin of a ray that nothing is scored along."""

    geometry: Ray
    t: Float[Tensor, "1"]
    settings: str = "point"

    @classmethod
    def of(cls, theta: Float[Tensor, " weights"]) -> "PointTarget":
        """The point theta."""
        return cls(Ray(theta, theta), torch.zeros(1, dtype=torch.float64))

    def tabulate(self, results: Results, pair: str, scores: Scores, rescored: Mapping[str, Scores]) -> None:
        """A point fills no table of scores."""


def open_line(a: Path, b: Path, origin: Origin, points: int, span: tuple[float, float]) -> tuple[Minima, PathTarget]:
    """The straight line between two minima, and where it is scored.

    Args:
        a, b: their files.
        origin: which network and data they belong to.
        points: how many.
        span: the first and the last t.
    """
    minima = open_minima([a, b], origin)
    line = Line(minima.thetas[0], minima.thetas[1])
    return minima, PathTarget(line, line.grid(points, *span))


def open_path(files: Sequence[Path], origin: Origin, points: int) -> tuple[Minima | CurveInput, PathTarget]:
    """A curve from one file, or the line between two minima; the rest as for `open_line`."""
    opened = _open_either(files, origin)
    return opened, PathTarget(opened.path, opened.path.grid(points))


def open_plane(
    files: Sequence[Path], origin: Origin, points: int, margin: float
) -> tuple[Minima | CurveInput, PlaneTarget]:
    """The plane of a curve from one file, or through three minima; the rest as for `open_line`."""
    opened = _open_either(files, origin)
    return opened, PlaneTarget.of(opened.path, points, margin)


def open_landscape(
    file: Path, origin: Origin, surface: Surface, trajectory: Path | None = None
) -> tuple[Minima, LandscapeTarget]:
    """The profile or surface around a minimum.

    Args:
        file, origin: as for `open_line`.
        surface: which one.
        trajectory: a folder of checkpoints of its training.
    """
    minima = open_minima([file], origin)
    return minima, LandscapeTarget.of(minima, surface, trajectory)


def open_point(file: Path, origin: Origin) -> tuple[Minima, PointTarget]:
    """A minimum alone; the rest as for `open_line`."""
    minima = open_minima([file], origin)
    return minima, PointTarget.of(minima.thetas[0])


def _open_either(files: Sequence[Path], origin: Origin) -> Minima | CurveInput:
    return open_curve(files[0], origin) if len(files) == 1 else open_minima(files, origin)
