"""What the commands score: a geometry at coordinates, and the tables its scores go into."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from pathfinder.commands.opened import Opened
from pathfinder.errors import PathfinderError
from pathfinder.geometry import Geometry, Line
from pathfinder.landscape import landscape, trajectory_in
from pathfinder.plane import Plane
from pathfinder.results import Results
from pathfinder.scores import Scores
from pathfinder.scoring import Surface
from pathfinder.tree import checksum

FILES = {"line": (2,), "curve": (1,), "plane": (1, 3), "direction": (1,), "surface": (1,)}
LANDSCAPES = {"direction": 1, "surface": 2}  # axes


@dataclass(frozen=True)
class Target:
    """What a command scores: a geometry at coordinates, what was asked for, and the tables the scores go into."""

    geometry: Geometry
    t: Tensor
    asked: Any
    add: Callable[[Results, Scores], None]


def target_of(what: str, opened: "Opened", where: dict[str, Any]) -> Target:
    if what in LANDSCAPES:
        settings = Surface.parse({**where["surface"], "axes": LANDSCAPES[what]})
        walked = trajectory_in(where["trajectory"], opened.space)
        found = landscape(opened.space, opened.theta, settings, walked)
        add = partial(Results.add_surface, pair="pair", name="minimum", surface=settings.title)
        asked = [settings.model_dump(), walked.epochs, [checksum(theta) for theta in walked.thetas]]
        return Target(found.geometry, found.t, asked, lambda r, s: add(r, scored=s, trajectory=found.trajectory))
    curve, kind, points = opened.curve, opened.curve.kind(), where["surface"].get("points")
    if points is not None and not isinstance(points, int):
        raise PathfinderError(f"--points of a {what} must be one number, got {'x'.join(map(str, points))}.")
    if what == "plane":
        plane, curves = Plane.of(curve), {kind: curve, "line": Line(curve.start, curve.end)}
        add = partial(Results.add_plane, pair="pair", name=kind, plane=plane, curves=curves, t=curve.grid(61))
        grid = plane.grid(21 if points is None else points, where["margin"])
        return Target(plane, grid, kind, lambda r, s: add(r, scored=s))
    reach = (where["low"], where["high"]) if what == "line" else ()
    t = curve.grid(61 if points is None else points, *reach)
    return Target(curve, t, kind, lambda r, s: r.add_paths("pair", "pair", {kind: s}))
