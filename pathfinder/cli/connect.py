"""`pathfinder connect`: train curves between two minima, and compare them with the straight line."""

from typing import Annotated, Any

import typer

from pathfinder.cli.options import (
    Examples,
    Name,
    Origin,
    Out,
    PathPoints,
    PrecisionCheck,
    PrecisionOption,
    Recipe,
    RunOptions,
    ScoreOptions,
    Tolerance,
    Weights,
    read_settings,
)
from pathfinder.cli.points import read_count
from pathfinder.cli.wrapping import deterministic, expand_groups


@expand_groups
@deterministic
def connect(
    *,
    a: Weights,
    b: Weights,
    out: Out,
    curve: Annotated[list[str] | None, typer.Option(help="Kind of curve. Repeatable.", show_default="bezier")] = None,
    bends: Annotated[int, typer.Option(help="Trained anchors of each curve between its ends.")] = 1,
    changes: Recipe = None,
    planes: Annotated[bool, typer.Option("--planes", help="Also score the plane of each curve.")] = False,
    align: Annotated[bool, typer.Option("--align", help="Also align b to a, and connect to the aligned b.")] = False,
    name: Name = None,
    origin: Origin,
    points: PathPoints = "auto",
    tolerance: Tolerance = 0.01,
    grid_points: Annotated[
        str | None,
        typer.Option(
            metavar="N|auto", help="With --planes: points per axis. auto: the train loss chooses.", show_default="21"
        ),
    ] = None,
    examples: Examples = None,
    scoring: ScoreOptions,
    precision: PrecisionOption = "fp32",
    precision_check: PrecisionCheck = True,
    options: RunOptions,
) -> None:
    """Train curves between two minima, score them and the straight line, and compare."""
    from pathfinder.cli.inputs import config_of, name_files, read_minimum
    from pathfinder.cli.run import run_experiment
    from pathfinder.experiment.config import Config
    from pathfinder.storage.keys import key_of

    if grid_points is not None and not planes:
        raise typer.BadParameter("--grid-points needs --planes.")
    recipe = read_settings(changes, "--set")
    for key, option in (("kind", "--curve"), ("bends", "--bends")):
        if key in recipe:
            raise typer.BadParameter(f"--set {key} changes nothing here; use {option}.")
    settings = scoring.settings(
        points=read_count(points, "--points"), tolerance=tolerance, examples=read_count(examples, "--examples")
    )
    checkpoints = {str(file): read_minimum(file) for file in (a, b)}
    ends = key_of(*(checkpoints[str(file)].digest for file in (a, b)))
    raw: dict[str, Any] = {
        "name": f"connect-{ends[:8]}",
        "seed": scoring.seed,
        "device": scoring.device,
        "precision": precision,
        "precision_check": precision_check,
        **config_of(checkpoints, origin),
        "pairs": [{"name": name or name_files([a, b]), "a": {"checkpoint": str(a)}, "b": {"checkpoint": str(b)}}],
        "curve": recipe,
        "curves": [{"kind": kind, "bends": bends} for kind in curve or ["bezier"]],
        "score": settings.model_dump(exclude_unset=True),
        "planes": {"points": read_count(grid_points or "21", "--grid-points")} if planes else None,
        "align": {} if align else None,
    }
    config = Config.parse({key: value for key, value in raw.items() if value is not None})
    run_experiment(config, out, options, checkpoints)
