"""`pathfinder train`: one minimum, written to a file."""

from typing import Annotated

import typer

from pathfinder.cli.options import (
    DataArgs,
    Device,
    File,
    Force,
    Fresh,
    ModelArgs,
    PrecisionOption,
    Recipe,
    Seed,
    Threads,
    read_settings,
)
from pathfinder.cli.wrapping import deterministic


@deterministic
def train(
    model: Annotated[str, typer.Argument(help="Network; see `pathfinder list models`.")],
    data: Annotated[str, typer.Option("--data", help="Dataset; see `pathfinder list data`.")],
    out: File,
    model_arg: ModelArgs = None,
    data_arg: DataArgs = None,
    changes: Recipe = None,
    checkpoint_every: Annotated[
        int | None, typer.Option(help="Keep the weights every so many epochs, in the folder OUT-trajectory.")
    ] = None,
    seed: Seed = 0,
    device: Device = "cpu",
    precision: PrecisionOption = "fp32",
    threads: Threads = None,
    force: Force = False,
    fresh: Fresh = False,
) -> None:
    """Train one minimum and write its weights. If interrupted, rerun to resume; the result is the same bit for bit."""
    from pathfinder.cli.progress import Reporter
    from pathfinder.cli.train_job import TrainJob
    from pathfinder.data.settings import Data
    from pathfinder.models.settings import Model
    from pathfinder.training.recipe import Recipe as Settings

    settings = Settings.parse({"seed": seed, **read_settings(changes, "--set")})
    dataset = Data.parse({"name": data, **read_settings(data_arg, "--data-arg")})
    network = Model.parse({"name": model, **read_settings(model_arg, "--model-arg")})
    job = TrainJob(dataset, network, settings, out, checkpoint_every, device, precision, threads)
    with Reporter() as report:
        row = job.run(report, force, fresh)
    typer.echo(", ".join(f"{key} {value:.4g}" for key, value in row.items()))
    typer.echo(f"weights in {out}")
