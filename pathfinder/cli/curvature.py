"""`pathfinder curvature`: both ends of the Hessian's spectrum, and its trace."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pathfinder.cli.options import CurvatureJob, Normalize, Out, RatioPoints, Span, Weights
from pathfinder.cli.points import read_surface_points
from pathfinder.cli.score import read_surface
from pathfinder.cli.words import Words
from pathfinder.cli.wrapping import deterministic, expand_groups

if TYPE_CHECKING:
    from pathfinder.landscape.settings import Curvature

app = typer.Typer(cls=Words, help="Measure both ends of the Hessian's spectrum, and its trace.")


@app.command()
@expand_groups
@deterministic
def point(*, file: Weights, out: Out, job: CurvatureJob) -> None:
    """Measure at a minimum."""
    from pathfinder.cli.jobs import measure
    from pathfinder.cli.targets import open_point

    measure("point", job, _settings(job), out, partial(open_point, file, job))


@app.command()
@expand_groups
@deterministic
def path(
    *,
    files: Annotated[list[Path], typer.Argument(help="A curve, or the weights of two minima for the line.")],
    out: Out,
    points: Annotated[int, typer.Option(help="Points along the path, both ends included.")] = 11,
    job: CurvatureJob,
) -> None:
    """Measure along a curve, or along the straight line between two minima."""
    from pathfinder.cli.jobs import measure
    from pathfinder.cli.targets import open_path
    from pathfinder.errors import PathfinderError

    if len(files) not in (1, 2):
        raise PathfinderError(f"a path needs 1 or 2 files, got {len(files)}.")
    measure("path", job, _settings(job, points), out, partial(open_path, files, job, points))


@app.command()
@expand_groups
@deterministic
def surface(
    *,
    file: Weights,
    out: Out,
    points: RatioPoints = "7",
    points_tolerance: Annotated[
        float, typer.Option(help="With --points auto: of the logarithm of the ratio between the points.")
    ] = 0.1,
    normalize: Normalize = None,
    span: Span = None,
    job: CurvatureJob,
) -> None:
    """Measure over two random directions around a minimum."""
    from pathfinder.cli.jobs import measure
    from pathfinder.cli.targets import open_landscape

    counts = read_surface_points(points)
    scale = normalize or "filter"
    around = read_surface({"normalize": scale, "seed": job.seed, "points": counts}, span)
    measure(
        "surface",
        job,
        _settings(job, counts, points_tolerance=points_tolerance),
        out,
        partial(open_landscape, file, job, around),
    )


def _settings(job: CurvatureJob, points: int | tuple[int, ...] | str = 2, **more: float) -> "Curvature":
    """The settings of `[[curvature]]`; `more` are its other fields."""
    from pathfinder.landscape.settings import Curvature

    keys = ("examples", "tolerance", "most", "samples", "batch_size")
    given = {key: getattr(job, key) for key in keys}
    return Curvature.parse({**given, "parameters": job.parameters, "points": points, **more})
