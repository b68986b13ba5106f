"""Train one minimum."""

from pathlib import Path
from typing import Any

from pathfinder import __version__
from pathfinder.commands.opened import Asked
from pathfinder.config import Data, Model
from pathfinder.data import smallest
from pathfinder.errors import PathfinderError
from pathfinder.evaluate import Evaluator, means
from pathfinder.fit import fit_minimum
from pathfinder.folder import Report, fingerprints, key_of
from pathfinder.networks import (
    last_good,
    network_for,
    probe,
    trajectory,
    weights_file,
)
from pathfinder.recipe import Recipe
from pathfinder.storage import Stage
from pathfinder.weights import WeightSpace


def train(
    asked: Asked,
    out: Path,
    recipe: dict[str, Any],
    checkpoint_every: int | None,
    device: str,
    precision: str,
    report: Report,
) -> dict[str, float]:
    """Train a minimum and write it to a file.

    The state of an unfinished fit is kept beside it, in `.NAME.partial`, and removed at the end; weights on the way, if
    asked for, in the folder NAME-trajectory.

    Returns:
        The losses and errors of the minimum.
    """
    settings, out = Recipe.parse(recipe), weights_file(out)
    if checkpoint_every is not None and checkpoint_every < 1:
        raise PathfinderError(f"--checkpoint-every must be 1 epoch or more, got {checkpoint_every}.")
    data = Data.parse({"name": asked.data, **asked.data_arguments})
    splits = data.load()
    network = network_for(Model.parse({"name": asked.model, **asked.model_arguments}), data, splits["train"])
    module = network.build(settings.seed)
    probe(module, splits, network.name, [smallest(splits["train"], settings.batch_size, settings.micro_batch_size)])
    space = WeightSpace(module)
    shared = {"batch_norm": "stored", "device": device, "precision": precision}
    evaluator = Evaluator(space, splits, **shared)
    tested = {name: split for name, split in splits.items() if name != "train"}
    watcher = Evaluator(space, tested, **shared) if tested else None
    key = key_of(
        __version__,
        network.metadata(),
        fingerprints(splits),
        settings.model_dump(),
        device,
        precision,
        checkpoint_every,
    )
    stage = Stage(out.parent / f".{out.name}.partial", key)

    def scores(by: Evaluator) -> dict[str, float]:
        return means(by.at(space.vector(module), space.statistics(module)))

    keep = checkpoint_every and trajectory(
        out.with_name(f"{out.stem}-trajectory"), network, module, checkpoint_every, settings.epochs
    )
    kept = out.with_name(f"{out.stem}.last-good.safetensors")
    with last_good(kept, lambda path: network.save(path, module.state_dict())):
        fit_minimum(
            module, splits["train"], monitor=watcher and (lambda: scores(watcher)), checkpoint=keep, device=device,
            precision=precision, progress=report(f"train {network.name}"), stage=stage, **settings.model_dump(),
        )  # fmt: skip
    network.save(out, module.state_dict(), recipe=settings.model_dump(), key=key)
    stage.path.unlink(missing_ok=True)
    return scores(evaluator)
