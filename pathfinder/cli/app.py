"""The command line: one short function per command; a user's mistake is one line and exit code 2."""

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from pathfinder.cli.options import (
    BatchSize,
    Changes,
    Clip,
    DataArgs,
    Device,
    Examples,
    File,
    Force,
    Fresh,
    Linear,
    ModelArgs,
    Named,
    Normalize,
    Out,
    Precision,
    Recipe,
    Scored,
    Seed,
    Span,
    Weights,
    numbers_in,
    settings_in,
    unfolded,
)
from pathfinder.progress import handle_signals

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Connect two trained networks by low-loss paths, and see the landscape between them.",
)


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="The experiment, a TOML file.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder; results/NAME if not given.")] = None,
    changes: Changes = None,
    device: Annotated[str | None, typer.Option(help="Where to compute, instead of what the config says.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32 or bf16, instead of what the config says.")] = None,
    scale: Annotated[str | None, typer.Option(help="Use the values of [scales.NAME], such as small.")] = None,
    fresh: Fresh = False,
) -> None:
    """Run an experiment: train minima and curves, score, write tables and figures. Started again, it goes on."""
    from pathfinder.experiment.config_file import load_config

    given = {"device": device, "precision": precision}
    extra = [f"{key}={value}" for key, value in given.items() if value]
    experiment = load_config(config, [*(changes or []), *extra], scale)
    _run(experiment, out or Path("results") / experiment.name, fresh)


@app.command()
def train(
    model: Annotated[str, typer.Argument(help="Network; see `pathfinder list models`.")],
    data: Annotated[str, typer.Option("--data", help="Data set; see `pathfinder list data`.")],
    out: File,
    model_arg: ModelArgs = None,
    data_arg: DataArgs = None,
    changes: Recipe = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="Also keep the weights of every so many epochs, in NAME-trajectory.")
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    precision: Precision = "fp32",
    force: Force = False,
    fresh: Fresh = False,
) -> None:
    """Train one minimum and write its weights. Started again after a kill, it goes on bit for bit."""
    from pathfinder.cli import commands

    recipe = {"seed": seed, **settings_in(changes, "--set")}
    asked = Named(data, data_arg, model, model_arg).asked()
    with _reporter() as report:
        row = commands.train(asked, out, recipe, checkpoint_every, device, precision, report, force, fresh)
    typer.echo(", ".join(f"{key} {value:.4g}" for key, value in row.items()))
    typer.echo(f"weights in {out}")


@app.command()
@unfolded
def connect(
    *,
    a: Weights,
    b: Weights,
    out: Out,
    curve: Annotated[
        list[str] | None, typer.Option(help="Kind of curve, may be repeated; bezier if not given.")
    ] = None,
    bends: Annotated[int, typer.Option(help="Anchors of each curve between its ends.")] = 1,
    changes: Recipe = None,
    planes: Annotated[bool, typer.Option("--planes", help="Also score the plane of each curve.")] = False,
    align: Annotated[bool, typer.Option("--align", help="Also align b to a, and connect to that.")] = False,
    named: Named,
    points: Annotated[int, typer.Option(help="Points along each path, both ends included.")] = 61,
    grid_points: Annotated[int, typer.Option(help="Points along each axis of the plane.")] = 21,
    examples: Examples = None,
    scored: Scored,
    precision: Precision = "fp32",
    fresh: Fresh = False,
) -> None:
    """Train curves between two minima, score them and the straight line, and compare."""
    from pathfinder.experiment.config import Config
    from pathfinder.experiment.model_spec import data_of
    from pathfinder.storage import read_checkpoint
    from pathfinder.storage.keys import key_of

    scoring = asdict(scored)
    seed, device = scoring.pop("seed"), scoring.pop("device")
    shared = settings_in(changes, "--set")
    for key, option in (("kind", "--curve"), ("bends", "--bends")):
        if key in shared:
            raise typer.BadParameter(f"--set {key} would change nothing here; use {option}.")
    asked = named.asked()
    network = None if asked.model is None else {"name": asked.model, **asked.model_arguments}
    checkpoints = {str(file): read_checkpoint(file) for file in (a, b)}
    ends_key = key_of(*(checkpoints[str(file)].digest for file in (a, b)))
    data = data_of(asked.data, asked.data_arguments, checkpoints[str(a)])
    raw = {
        "name": f"connect-{ends_key[:8]}",
        "seed": seed,
        "device": device,
        "precision": precision,
        "data": data.model_dump(exclude_defaults=True),
        "model": network,
        "pairs": [{"name": "pair", "a": {"checkpoint": str(a)}, "b": {"checkpoint": str(b)}}],
        "curve": shared,
        "curves": [{"kind": kind, "bends": bends} for kind in curve or ["bezier"]],
        "score": {**scoring, "points": points, "examples": examples},
        "planes": {"points": grid_points} if planes else None,
        "align": {} if align else None,
    }
    _run(Config.parse({key: value for key, value in raw.items() if value is not None}), out, fresh, checkpoints)


@app.command()
@unfolded
def score(
    *,
    what: Annotated[str, typer.Argument(help="line, curve, plane, direction or surface")],
    files: Annotated[
        list[Path],
        typer.Argument(help="Two minima; a curve; for a plane also minimum, bend, minimum; else a minimum."),
    ],
    out: Out,
    points: Annotated[
        str | None, typer.Option(help="Along the path [61], or each axis [21 or 51]; 51x31 for a surface of its own.")
    ] = None,
    low: Annotated[float, typer.Option("--from", help="Where a line begins.")] = 0.0,
    high: Annotated[float, typer.Option("--to", help="Where a line ends.")] = 1.0,
    margin: Annotated[
        float, typer.Option(min=0.0, help="Reach of a plane beyond its three points, a share of their extent.")
    ] = 0.2,
    normalize: Normalize = "filter",
    keep_1d: Annotated[bool, typer.Option("--keep-1d", help="Directions move biases and norm parameters too.")] = False,
    orthogonal: Annotated[bool, typer.Option("--orthogonal", help="Make the second direction orthogonal.")] = False,
    span: Span = None,
    trajectory: Annotated[
        Path | None, typer.Option(help="Checkpoints of the training: directions are their principal ones.")
    ] = None,
    named: Named,
    examples: Examples = None,
    scored: Scored,
    precision: Precision = "fp32",
    fresh: Fresh = False,
) -> None:
    """Score a line, a curve, a plane, or the landscape around a minimum, without training."""
    from pathfinder.cli import commands

    surface = {"normalize": normalize, "keep_1d": keep_1d, "orthogonal": orthogonal, "seed": scored.seed}
    surface |= {"directions": "trajectory"} if trajectory else {}
    surface |= {key: numbers_in(text, key) for key, text in (("points", points), ("span", span)) if text is not None}
    where = {"low": low, "high": high, "margin": margin, "surface": surface}
    where["trajectory"] = None if trajectory is None else str(trajectory)
    scoring = {**asdict(scored), "examples": examples, "precision": precision}
    with _reporter() as report:
        summary = commands.score(what, files, named.asked(), out, where, scoring, report, fresh)
    if summary is not None:
        commands.show(summary)
    typer.echo(f"tables in {out}, figures in {out / 'figures'}")


@app.command()
@unfolded
def curvature(
    *,
    where: Annotated[str, typer.Argument(help="point, path or surface")],
    files: Annotated[list[Path], typer.Argument(help="A minimum; for a path a curve, or two minima.")],
    out: Out,
    points: Annotated[str | None, typer.Option(help="Along the path [11], or each axis [7]; 7x5 for its own.")] = None,
    examples: Annotated[
        int | None, typer.Option(help="Training examples whose mean loss it is; all if not given.")
    ] = None,
    tolerance: Annotated[float, typer.Option(help="Relative residual of both eigenvalues.")] = 1e-2,
    most: Annotated[int, typer.Option(help="Products with the Hessian for the eigenvalues of a point.")] = 400,
    samples: Annotated[int, typer.Option(help="Random vectors for the trace; 0 for none.")] = 16,
    normalize: Normalize = "filter",
    span: Span = None,
    named: Named,
    scored: Scored,
    fresh: Fresh = False,
) -> None:
    """Measure both ends of the Hessian's spectrum, and its trace."""
    from pathfinder.cli import commands

    seed = scored.seed
    surface = {"normalize": normalize, "seed": seed, "points": _POINTS.get(where, 2)}
    surface |= {key: numbers_in(text, key) for key, text in (("points", points), ("span", span)) if text is not None}
    settings = {"tolerance": tolerance, "most": most, "samples": samples, "seed": seed}
    with _reporter() as report:
        table = commands.curvature(
            where, files, named.asked(), out, surface, examples, asdict(scored), settings, report, fresh
        )
    typer.echo(table.to_string(index=False))
    typer.echo(f"tables in {out}" + (f", figures in {out / 'figures'}" if where != "point" else ""))


_POINTS = {"path": 11, "surface": 7}


@app.command()
@unfolded
def export(
    *,
    curve: Annotated[Path, typer.Argument(help="A curve, from the `curves` folder of a run.")],
    t: Annotated[float, typer.Option("--t", help="Where on the curve, 0 to 1.")],
    out: File,
    named: Named,
    batch_size: BatchSize = 512,
    device: Device = "cpu",
    force: Force = False,
) -> None:
    """Write the network at one point of a curve, its BatchNorm re-estimated."""
    from pathfinder.cli import commands

    with _reporter():
        commands.export(curve, t, out, named.asked(), batch_size, device, force)
    typer.echo(f"weights in {out}")


@app.command()
@unfolded
def align(
    *,
    a: Annotated[Path, typer.Argument(help="Weights of the minimum to follow.")],
    b: Annotated[Path, typer.Argument(help="Weights of the minimum whose units are put in order.")],
    out: File,
    method: Annotated[str, typer.Option(help="weights, or activations.")] = "weights",
    orders: Annotated[int, typer.Option(help="Random orders that weight matching tries.")] = 5,
    examples: Annotated[int, typer.Option(help="Training examples whose activations are compared.")] = 1000,
    named: Named,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Put the hidden units of one network in the order of another's; it computes what it did before."""
    from pathfinder.cli import commands

    with _reporter():
        row = commands.align(a, b, named.asked(), out, method, orders, examples, seed, force)
    typer.echo(row.to_string(index=False))
    typer.echo(f"weights in {out}")


@app.command()
def plot(
    folders: Annotated[list[Path], typer.Argument(help="Folder of a run; or several, with --out.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Draw the landscapes of all runs side by side, there.")
    ] = None,
    clip: Clip = 10.0,
    linear: Linear = False,
) -> None:
    """Redraw every figure of a run from its CSV files, or the landscapes of several runs on one scale."""
    from pathfinder.figures.draw import draw, draw_together

    if out is None and len(folders) > 1:
        raise typer.BadParameter("several runs are drawn together into a folder of their own; name it with --out.")
    drawn = draw(folders[0], clip, not linear) if out is None else draw_together(folders, out, clip, not linear)
    for path in drawn:
        typer.echo(str(path))


@app.command()
def vtk(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that has surfaces.")],
    clip: Clip = 10.0,
    linear: Linear = False,
) -> None:
    """Write the surfaces of a run as .vts files, for ParaView (needs pyvista)."""
    from pathfinder.figures.vtk import export_surfaces

    for path in export_surfaces(folder, clip, not linear):
        typer.echo(str(path))


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(help="Folders of runs.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write the table as CSV.")] = None,
    force: Force = False,
) -> None:
    """Show the summaries of several runs side by side."""
    from pathfinder.cli import commands

    commands.show(commands.compare(folders, out, force))


@app.command("list")
def list_names(what: Annotated[str, typer.Argument(help="models, data or curves")]) -> None:
    """List the models, data sets or curves there are."""
    from pathfinder.cli import commands

    for name, meaning in commands.names(what).items():
        typer.echo(f"{name:20} {meaning}")


def main() -> None:
    """Run the command line; a mistake of the user ends in one line on stderr and exit code 2."""
    from pathfinder.errors import PathfinderError, PathfinderWarning, out_of_memory

    with handle_signals(), warnings.catch_warnings():
        warnings.simplefilter("always", PathfinderWarning)
        warnings.filterwarnings("ignore", "Initializing zero-element")  # a width of 0; what comes of it is refused
        warnings.showwarning = _shown(warnings.showwarning)
        try:
            code = app(args=sys.argv[1:] or ["--help"], standalone_mode=False) or 0
        except (Exception, SystemExit) as error:  # the user's code may call sys.exit anywhere
            message = out_of_memory(error) or str(error)
            known = isinstance(error, PathfinderError) or hasattr(error, "format_message")
            if not known and out_of_memory(error) is None:
                from pathfinder.errors import raised, users_line

                if users_line(error) is None:
                    raise
                message = f"your code stopped the command: {raised(error)}; mend it there."
            if hasattr(error, "format_message"):  # typer's own
                message = f"{error.format_message()} You typed: {' '.join(sys.argv[1:])}; see --help."
            print(f"error: {' '.join(message.split())}", file=sys.stderr)
            sys.exit(2)
        sys.exit(code)


def _shown(others: Callable[..., None]) -> Callable[..., None]:
    """What shows a warning: ours once, as one line; any other as before."""
    from pathfinder.errors import PathfinderWarning

    said = set()

    def show(message: Warning | str, category: type[Warning], *place: Any) -> None:
        if issubclass(category, PathfinderWarning) and str(message) not in said:
            said.add(str(message))
            print(f"note: {' '.join(str(message).split())}", file=sys.stderr)
        elif not issubclass(category, PathfinderWarning):
            others(message, category, *place)

    return show


def _run(config: Any, folder: Path, fresh: bool, checkpoints: Any = None) -> None:
    from pathfinder.cli import commands
    from pathfinder.experiment.run import Experiment

    with _reporter() as report:
        summary = Experiment(config, folder, report, fresh, checkpoints).run()
    commands.show(summary)
    typer.echo(f"tables in {folder}, figures in {folder / 'figures'}")


@contextmanager
def _reporter() -> Iterator[Any]:
    """What shows progress; for its time torch computes the same bytes each time wherever it can."""
    from pathfinder.cli.progress import Reporter
    from pathfinder.compute import reproducible

    with reproducible(), Reporter() as report:
        yield report


if __name__ == "__main__":
    main()
