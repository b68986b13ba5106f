"""`pathfinder score`: loss and error at a minimum, along a path, over a plane or around it, without training."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pathfinder.cli.choices import Normalization
from pathfinder.cli.options import (
    CurveFile,
    Keep1d,
    Normalize,
    Out,
    PathPoints,
    PlanePoints,
    PlaneTolerance,
    PointJob,
    ScoreJob,
    Span,
    SurfacePoints,
    Tolerance,
    Trajectory,
    Weights,
)
from pathfinder.cli.points import read_count, read_span, read_surface_points
from pathfinder.cli.words import Words
from pathfinder.cli.wrapping import deterministic, expand_groups

if TYPE_CHECKING:
    from pathfinder.landscape.settings import Surface

app = typer.Typer(cls=Words, help="Score a minimum, a line, a curve, a plane, or a landscape; no training.")


@app.command()
@expand_groups
@deterministic
def point(*, file: Weights, out: Out, job: PointJob) -> None:
    """Score a minimum with the BatchNorm statistics it has stored, and with re-estimated ones."""
    from pathfinder.cli.jobs import score_point

    score_point(job, out, file)


@app.command()
@expand_groups
@deterministic
def line(
    *,
    a: Weights,
    b: Weights,
    out: Out,
    points: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto",
            help="Points along the line, both ends included. auto: its losses choose.",
            show_default="auto, or 61 for a line that reaches beyond the minima",
        ),
    ] = None,
    tolerance: Tolerance = 0.01,
    low: Annotated[float, typer.Option("--from", help="t at which the line begins, 0 or less.")] = 0.0,
    high: Annotated[float, typer.Option("--to", help="t at which the line ends, 1 or more.")] = 1.0,
    job: ScoreJob,
) -> None:
    """Score the straight line between two minima."""
    from pathfinder.cli.jobs import score
    from pathfinder.cli.targets import open_line

    counts = read_count(points or ("auto" if (low, high) == (0, 1) else "61"), "--points")
    settings = job.settings(points=counts, tolerance=tolerance, range=(low, high))
    score("line", job, settings, out, partial(open_line, a, b, job, settings.equal_points, (low, high)))


@app.command()
@expand_groups
@deterministic
def curve(
    *, file: CurveFile, out: Out, points: PathPoints = "auto", tolerance: Tolerance = 0.01, job: ScoreJob
) -> None:
    """Score a trained curve."""
    from pathfinder.cli.jobs import score
    from pathfinder.cli.targets import open_path

    settings = job.settings(points=read_count(points, "--points"), tolerance=tolerance)
    score("curve", job, settings, out, partial(open_path, [file], job, settings.equal_points))


@app.command()
@expand_groups
@deterministic
def plane(
    *,
    files: Annotated[list[Path], typer.Argument(help="A curve; or the weights of a minimum, a bend and a minimum.")],
    out: Out,
    points: PlanePoints = "21",
    tolerance: PlaneTolerance = 0.03,
    margin: Annotated[
        float, typer.Option(help="How far the plane extends past its three points, as a fraction of their extent.")
    ] = 0.2,
    job: ScoreJob,
) -> None:
    """Score the plane through both ends of a curve and its middle bend, or through three points."""
    from pathfinder.cli.jobs import score
    from pathfinder.cli.targets import open_plane
    from pathfinder.errors import PathfinderError
    from pathfinder.landscape.settings import chosen_to
    from pathfinder.scoring.settings import Planes
    from pathfinder.settings import grid_points

    if len(files) not in (1, 3):
        raise PathfinderError(f"a plane needs 1 or 3 files, got {len(files)}.")
    settings = Planes.parse({"points": read_count(points, "--points"), "margin": margin, "tolerance": tolerance})
    opening = partial(open_plane, files, job, grid_points(settings.points), margin)
    score("plane", job, job.settings(), out, opening, chosen_to(settings))


@app.command()
@expand_groups
@deterministic
def direction(
    *,
    file: Weights,
    out: Out,
    points: Annotated[int, typer.Option(help="Points along the direction.")] = 51,
    normalize: Normalize = None,
    keep_1d: Keep1d = False,
    span: Span = None,
    trajectory: Trajectory = None,
    job: ScoreJob,
) -> None:
    """Score the profile of the loss along one direction through a minimum."""
    from pathfinder.cli.jobs import score_landscape

    along = _directions(normalize, keep_1d, False, trajectory)
    surface = read_surface({**along, "axes": 1, "points": points, "seed": job.seed}, span)
    score_landscape("direction", job, surface, out, file, trajectory)


@app.command()
@expand_groups
@deterministic
def surface(
    *,
    file: Weights,
    out: Out,
    points: SurfacePoints = "51",
    tolerance: PlaneTolerance = 0.03,
    normalize: Normalize = None,
    keep_1d: Keep1d = False,
    orthogonal: Annotated[
        bool, typer.Option("--orthogonal", help="Make the second direction orthogonal to the first.")
    ] = False,
    span: Span = None,
    trajectory: Trajectory = None,
    job: ScoreJob,
) -> None:
    """Score the surface of the loss over two directions around a minimum."""
    from pathfinder.cli.jobs import score_landscape

    along = _directions(normalize, keep_1d, orthogonal, trajectory)
    values = {**along, "axes": 2, "points": read_surface_points(points), "tolerance": tolerance, "seed": job.seed}
    surface = read_surface(values, span)
    score_landscape("surface", job, surface, out, file, trajectory)


def read_surface(values: dict[str, object], span: str | None) -> "Surface":
    """The settings of a profile or surface, as `[[surfaces]]` takes them."""
    from pathfinder.landscape.settings import Surface

    return Surface.parse(values if span is None else {**values, "span": read_span(span)})


def _directions(
    normalize: Normalization | None, keep_1d: bool, orthogonal: bool, trajectory: Path | None
) -> dict[str, object]:
    """The settings of the directions; options that random directions alone have are refused with a trajectory."""
    if trajectory is None:
        return {"normalize": normalize or "filter", "keep_1d": keep_1d, "orthogonal": orthogonal}
    given = {"--normalize": normalize is not None, "--keep-1d": keep_1d, "--orthogonal": orthogonal}
    for option, is_given in given.items():
        if is_given:
            raise typer.BadParameter(f"{option} shapes random directions; drop it, or drop --trajectory")
    return {"directions": "trajectory"}
