"""`pathfinder run`: a whole experiment, described by a config."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pathfinder.cli.choices import Precision
from pathfinder.cli.options import Changes, RunFolder, RunOptions, Scale, Threads
from pathfinder.cli.wrapping import deterministic, expand_groups

if TYPE_CHECKING:
    from pathfinder.experiment.config import Config
    from pathfinder.storage import Checkpoint


@expand_groups
@deterministic
def run(
    *,
    config: Annotated[str, typer.Argument(help="A TOML file, or the name of a config; see `pathfinder list configs`.")],
    out: RunFolder = None,
    changes: Changes = None,
    device: Annotated[
        str | None, typer.Option(help="Where to compute: cpu, cuda, cuda:N or mps.", show_default="the config's")
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Arithmetic of the networks.", show_default="the config's")
    ] = None,
    threads: Threads = None,
    scale: Scale = None,
    options: RunOptions,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the pieces of work, and how long they take, and do nothing.")
    ] = False,
) -> None:
    """Run an experiment: train minima and curves, score them, write tables and figures. Rerun to resume."""
    given = {"device": device, "precision": precision, "threads": threads}
    experiment = _load(config, changes, scale, given)
    folder = out or Path("results") / experiment.name
    if plan:
        show_plan(experiment, folder, options.fresh)
    else:
        run_experiment(experiment, folder, options)


@expand_groups
@deterministic
def race(
    *,
    config: Annotated[str, typer.Argument(help="A TOML file with a table race, or the name of a config.")],
    out: RunFolder = None,
    changes: Changes = None,
    threads: Threads = None,
    scale: Scale = None,
    options: RunOptions,
) -> None:
    """Train every curve of a config with several budgets, and see which is flat enough first. Rerun to resume."""
    from pathfinder.errors import PathfinderError

    experiment = _load(config, changes, scale, {"threads": threads})
    if experiment.race is None:
        raise PathfinderError(f"{config} has no table [race]; add one that names a reference, or use `pathfinder run`.")
    run_experiment(experiment, out or Path("results") / experiment.name, options)


def _load(config: str, changes: list[str] | None, scale: str | None, given: Mapping[str, object]) -> "Config":
    """The config of a file or name, with the changes of `--set` and then those of other options that were given."""
    from pathfinder.cli.configs import find_config
    from pathfinder.experiment.config_file import load_config

    extra = [f"{key}={value}" for key, value in given.items() if value]
    return load_config(find_config(config), [*(changes or []), *extra], scale)


def run_experiment(
    config: "Config",
    folder: Path,
    options: RunOptions,
    checkpoints: "dict[str, Checkpoint] | None" = None,
) -> None:
    """Run a config, and show its summary.

    Args:
        config: the experiment.
        folder: where to write.
        options: how the work is shared and resumed.
        checkpoints: files of weights that were read already, by the path that the config names.
    """
    from pathfinder.cli.progress import Reporter
    from pathfinder.cli.summary import show_ends, show_race, show_summary
    from pathfinder.experiment.run import Experiment

    with Reporter() as report:
        experiment = Experiment(config, folder, report, options.fresh, options.force, checkpoints, show_ends)
        report.expect(piece.title for piece in experiment.plan.pieces.values())
        summary = experiment.run(options.processes, options.scheduler, options.dashboard)
    if config.race is not None:
        show_race(experiment.folder.results.table("race_methods"))
    elif summary is not None:
        show_summary(summary)
    typer.echo(f"tables in {folder}, figures in {folder / 'figures'}")


def show_plan(config: "Config", folder: Path, fresh: bool) -> None:
    """Show the pieces of a config, what of them is kept, and how long the rest takes.

    Args:
        config, folder: as for `run_experiment`.
        fresh: whether to ignore what an earlier run kept.
    """
    from pathfinder.cli.summary import show_pieces
    from pathfinder.experiment.run import Experiment

    experiment = Experiment(config, folder, fresh=fresh)
    show_pieces(experiment.plan.pieces.values(), experiment.estimate())
