"""What the commands score: a geometry at coordinates, and the tables its scores go into."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor

from pathfinder.cli.commands.opened import Opened
from pathfinder.data.trees import checksum
from pathfinder.errors import PathfinderError
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Line
from pathfinder.geometry.planes import Plane
from pathfinder.landscape.settings import Surface
from pathfinder.landscape.surfaces import landscape
from pathfinder.scoring.scores import Scores
from pathfinder.scoring.settings import Planes, Scoring
from pathfinder.tables.results import Results
from pathfinder.training.trajectory import trajectory_in

FILES = {"line": (2,), "curve": (1,), "plane": (1, 3), "direction": (1,), "surface": (1,)}
LANDSCAPES = {"direction": 1, "surface": 2}  # axes


def counted(files: list[Path], what: str, needed: tuple[int, ...]) -> None:
    """Check that there are as many files as it takes.

    Raises:
        PathfinderError: if not.
    """
    if len(files) not in needed:
        raise PathfinderError(f"a {what} needs {' or '.join(map(str, needed))} files, got {len(files)}.")


def check(
    what: str,
    surface: Mapping[str, Any],
    scoring: Mapping[str, Any],
    low: float = 0.0,
    high: float = 1.0,
    margin: float = 0.2,
) -> None:
    """Check what a command was given as a config would be checked, before any file is read.

    Args:
        what: a key of `FILES`, or `path`, or `point`, which has no points.
        surface, low, high, margin: as for `target_of`.
        scoring: arguments of `Evaluator`.

    Raises:
        PathfinderError: at the first value out of range.
    """
    points = surface.get("points")
    along = {} if points is None or what == "point" else {"points": points}
    if what not in LANDSCAPES and along and not isinstance(points, int):
        raise PathfinderError(f"--points of a {what} must be one number, got {'x'.join(map(str, points))}.")
    settings = {key: value for key, value in scoring.items() if key in Scoring.model_fields}
    apart = {key: value for key, value in surface.items() if key != "points"}
    Surface.parse({**surface, "axes": LANDSCAPES[what]} if what in LANDSCAPES else apart)
    if what == "plane":
        Planes.parse({**along, "margin": margin})
    elif what not in LANDSCAPES:
        settings |= along
    Scoring.parse({**settings, "range": (low, high)})


def not_interpolated(opened: Opened, scoring: Mapping[str, Any], what: str) -> None:
    """Check that statistics of BatchNorm are not to be interpolated where there is no path.

    Raises:
        PathfinderError: if they are.
    """
    if opened.space.has_statistics and scoring["batch_norm"] == "interpolate":
        raise PathfinderError(f"--batch-norm interpolate has no meaning for {what}; re-estimate, or drop it.")


@dataclass(frozen=True)
class Target:
    """What a command scores: a geometry at coordinates, what was asked for, and the tables the scores go into."""

    geometry: Geometry
    t: Tensor
    asked: Any
    add: Callable[[Results, Scores], None]


def target_of(
    what: str,
    opened: Opened,
    surface: dict[str, Any],
    trajectory: str | None = None,
    low: float = 0.0,
    high: float = 1.0,
    margin: float = 0.2,
) -> Target:
    """The target of a command.

    Args:
        what: a key of `FILES`.
        opened: its files.
        surface: settings of `scoring.Surface`, whose points are those of the others too.
        trajectory: a folder of checkpoints.
        low, high: where a line begins and ends.
        margin: of a plane beyond its three points, a share of their extent.
    """
    if what in LANDSCAPES:
        settings = Surface.parse({**surface, "axes": LANDSCAPES[what]})
        walked = trajectory_in(trajectory, opened.space)
        found = landscape(opened.space, opened.theta, settings, walked)
        add = partial(Results.add_surface, pair="pair", name="minimum", surface=settings.title)
        asked = [settings.model_dump(), walked.epochs, [checksum(theta) for theta in walked.thetas]]
        return Target(found.geometry, found.t, asked, lambda r, s: add(r, scored=s, trajectory=found.trajectory))
    curve, kind, points = opened.curve, opened.curve.kind(), surface.get("points")
    if what == "plane":
        plane, curves = Plane.of(curve), {kind: curve, "line": Line(curve.start, curve.end)}
        add = partial(Results.add_plane, pair="pair", name=kind, plane=plane, curves=curves, t=curve.grid(61))
        grid = plane.grid(21 if points is None else points, margin)
        return Target(plane, grid, kind, lambda r, s: add(r, scored=s))
    reach = (low, high) if what == "line" else ()
    t = curve.grid(61 if points is None else points, *reach)
    return Target(curve, t, kind, lambda r, s: r.add_paths("pair", "pair", {kind: s}))
