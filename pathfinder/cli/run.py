"""`pathfinder run`: a whole experiment, described by a config."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pathfinder.cli.choices import Precision
from pathfinder.cli.options import Changes, RunFolder, RunOptions, Scale, Threads
from pathfinder.cli.wrapping import deterministic, expand_groups

if TYPE_CHECKING:
    from pathfinder.experiment.config import Config
    from pathfinder.storage import Checkpoint


@dataclass(frozen=True)
class ConfigOptions:
    """What a command changes of a config, and where it writes."""

    out: RunFolder = None
    changes: Changes = None
    device: Annotated[
        str | None, typer.Option(help="Where to compute: cpu, cuda, cuda:N or mps.", show_default="the config's")
    ] = None
    precision: Annotated[
        Precision | None, typer.Option(help="Arithmetic of the networks.", show_default="the config's")
    ] = None
    threads: Threads = None
    scale: Scale = None

    def folder(self, config: "Config") -> Path:
        """Where the run of a config lies."""
        return self.out or Path("results") / config.name

    def load(self, config: str) -> "Config":
        """The config of a file or name, with the changes of `--set` and then those of other options."""
        from pathfinder.cli.configs import find_config
        from pathfinder.experiment.config_file import load_config

        given = {"device": self.device, "precision": self.precision, "threads": self.threads}
        extra = [f"{key}={value}" for key, value in given.items() if value]
        return load_config(find_config(config), [*(self.changes or []), *extra], self.scale)


Planned = Annotated[
    bool, typer.Option("--plan", help="Show the pieces of work, and how long they take, and do nothing.")
]


@expand_groups
@deterministic
def run(
    *,
    config: Annotated[str, typer.Argument(help="A TOML file, or the name of a config; see `pathfinder list configs`.")],
    changes: ConfigOptions,
    options: RunOptions,
    plan: Planned = False,
) -> None:
    """Run an experiment: train minima and curves, score them, write tables and figures. Rerun to resume."""
    experiment = changes.load(config)
    _run_or_plan(experiment, changes.folder(experiment), options, plan)


@expand_groups
@deterministic
def race(
    *,
    config: Annotated[str, typer.Argument(help="A TOML file with a table race, or the name of a config.")],
    changes: ConfigOptions,
    options: RunOptions,
    plan: Planned = False,
) -> None:
    """Train every curve of a config with several budgets, and see which is flat enough first. Rerun to resume."""
    from pathfinder.errors import PathfinderError

    experiment = changes.load(config)
    if experiment.race is None:
        raise PathfinderError(f"{config} has no table [race]; add one that names a reference, or use `pathfinder run`.")
    _run_or_plan(experiment, changes.folder(experiment), options, plan)


def _run_or_plan(experiment: "Config", folder: Path, options: RunOptions, plan: bool) -> None:
    if plan:
        show_plan(experiment, folder, options.fresh)
    else:
        run_experiment(experiment, folder, options)


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
    from pathfinder.cli.summary import show_barriers, show_ends, show_race, show_summary
    from pathfinder.experiment.run import Experiment

    with Reporter() as report:
        experiment = Experiment(config, folder, report, options.fresh, options.force, checkpoints, show_ends)
        report.expect(piece.title for piece in experiment.plan.pieces.values())
        summary = experiment.run(options.processes, options.scheduler, options.dashboard)
    if config.race is not None:
        show_race(experiment.folder.results.table("race_methods"))
    elif summary is not None:
        show_summary(summary)
    elif "barriers" in experiment.folder.results:
        show_barriers(experiment.folder.results.table("barriers"))
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
