"""`pathfinder align`: permute the hidden units of one minimum to match another's, or of every two of several."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from pathfinder.cli.choices import Matching
from pathfinder.cli.options import (
    BatchNormCount,
    BatchNormOption,
    BatchSize,
    Dashboard,
    Device,
    Fresh,
    Origin,
    PathPoints,
    PrecisionCheck,
    PrecisionOption,
    RunOptions,
    Scheduler,
    ScoreCount,
    ScoreOptions,
    Seed,
    Tolerance,
    Workers,
)
from pathfinder.cli.points import read_count
from pathfinder.cli.wrapping import deterministic, expand_groups

if TYPE_CHECKING:
    from pathfinder.symmetry.settings import Align


@dataclass(frozen=True)
class LineOptions:
    """How the lines between every two minima are scored, and how the work is shared."""

    panel: ClassVar[str] = "With --every-pair"

    points: PathPoints = "auto"
    tolerance: Tolerance = 0.01
    score_examples: ScoreCount = None
    batch_norm: BatchNormOption = None
    batch_norm_examples: BatchNormCount = None
    batch_size: BatchSize = 512
    device: Device = "cpu"
    precision: PrecisionOption = "fp32"
    precision_check: PrecisionCheck = True
    workers: Workers = "auto"
    scheduler: Scheduler = None
    dashboard: Dashboard = False
    fresh: Fresh = False


@expand_groups
@deterministic
def align(
    *,
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Weights of the minimum to match, and of the one to permute; or with --every-pair, of two or more."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File for the weights (.safetensors); with --every-pair, a folder.")
    ],
    method: Annotated[Matching, typer.Option(help="What is compared.")] = "weights",
    orders: Annotated[int | None, typer.Option(help="Weight matching: random restarts.", show_default="5")] = None,
    examples: Annotated[
        int | None,
        typer.Option(help="Activation matching: training examples that are compared.", show_default="1000"),
    ] = None,
    every_pair: Annotated[
        bool,
        typer.Option(
            "--every-pair",
            help="Score the line between every two minima, as they are and aligned, into tables and a figure.",
        ),
    ] = False,
    origin: Origin,
    seed: Seed = 0,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Replace a file that this command did not make; with --every-pair, redo what other settings change.",
        ),
    ] = False,
    lines: LineOptions,
) -> None:
    """Permute the hidden units of a minimum to match another's, without changing what it computes."""
    from pathfinder.symmetry.settings import Align

    if orders is not None and method != "weights":
        raise typer.BadParameter("--orders belongs to --method weights; drop it.")
    if examples is not None and method != "activations":
        raise typer.BadParameter("--examples belongs to --method activations; drop it.")
    given = {"method": method, "orders": orders, "examples": examples, "every_pair": every_pair}
    settings = Align.parse({key: value for key, value in given.items() if value is not None})
    if every_pair:
        _align_every_pair(files, out, settings, origin, seed, force, lines)
        return
    if len(files) != 2:
        raise typer.BadParameter(f"two files are aligned, got {len(files)}; --every-pair takes more.")
    _refuse(lines)
    _align_two(files, out, settings, origin, seed, force)


def _refuse(lines: LineOptions) -> None:
    """Refuse options that change nothing without --every-pair."""
    for field in fields(lines):
        if getattr(lines, field.name) != field.default:
            raise typer.BadParameter(f"--{field.name.replace('_', '-')} belongs to --every-pair; drop it.")


def _align_two(files: list[Path], out: Path, settings: "Align", origin: Origin, seed: int, force: bool) -> None:
    """Align the second of two minima to the first, and write its weights."""
    import pandas as pd

    from pathfinder.cli.inputs import open_minima
    from pathfinder.cli.outputs import may_replace, weights_file
    from pathfinder.cli.progress import Reporter
    from pathfinder.symmetry.matching import align as align_weights

    out, own = weights_file(out, files), {"aligned": {"to": files[0].name, "method": settings.method}}
    may_replace(out, own, force)
    with Reporter() as report:
        minima = open_minima(files, origin)
        a, b = minima.thetas
        found = align_weights(
            minima.space, a, b, minima.data["train"], settings, minima.statistics, seed, report("align")
        )
        minima.network.save(out, minima.space.state_dict(found.vector, found.statistics), **own)
    typer.echo(pd.DataFrame([found.row(a, b)]).to_string(index=False))
    typer.echo(f"weights in {out}")


def _align_every_pair(
    files: list[Path], out: Path, settings: "Align", origin: Origin, seed: int, force: bool, lines: LineOptions
) -> None:
    """Score the line between every two of some minima, as they are and aligned."""
    from pathfinder.cli.inputs import config_of, name_each, read_minimum
    from pathfinder.cli.run import run_experiment
    from pathfinder.experiment.config import Config
    from pathfinder.storage.keys import key_of

    if len(files) < 2:
        raise typer.BadParameter(f"--every-pair compares two minima or more, got {len(files)}.")
    again = None if lines.batch_norm_examples is None else str(lines.batch_norm_examples)
    how = ScoreOptions(lines.batch_norm, again, lines.batch_size, seed, lines.device)
    scoring = how.settings(
        points=read_count(lines.points, "--points"), tolerance=lines.tolerance, examples=lines.score_examples
    )
    minima = [{"name": name, "checkpoint": str(file)} for name, file in zip(name_each(files), files, strict=True)]
    checkpoints = {str(file): read_minimum(file) for file in files}
    config = Config.parse(
        {
            **config_of(checkpoints, origin),
            "name": f"align-{key_of(*(one.digest for one in checkpoints.values()))[:8]}",
            "seed": seed,
            "device": lines.device,
            "precision": lines.precision,
            "precision_check": lines.precision_check,
            "minima": minima,
            "score": scoring.model_dump(exclude_unset=True),
            "align": settings.model_dump(exclude_unset=True),
        }
    )
    options = RunOptions(lines.workers, lines.scheduler, lines.dashboard, lines.fresh, force)
    run_experiment(config, out, options, checkpoints)
