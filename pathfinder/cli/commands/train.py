"""Train one minimum."""

from pathlib import Path
from typing import Any

from pathfinder.cli.commands.opened import Asked
from pathfinder.cli.outputs import may_replace, weights_file
from pathfinder.data.settings import Data
from pathfinder.data.sources import fingerprints, smallest
from pathfinder.errors import PathfinderError
from pathfinder.experiment.model_spec import network_for
from pathfinder.experiment.probe import probe
from pathfinder.models.settings import Model
from pathfinder.progress import Report, defer_interrupts
from pathfinder.scoring.evaluator import Evaluator, means
from pathfinder.storage import StageFile, locked, remove_scratch
from pathfinder.storage.keys import code_of, key_of
from pathfinder.training.fit import fit_minimum
from pathfinder.training.loop import last_good
from pathfinder.training.recipe import Recipe
from pathfinder.training.trajectory import trajectory, trajectory_folder
from pathfinder.weights.space import WeightSpace


def train(
    asked: Asked,
    out: Path,
    recipe: dict[str, Any],
    checkpoint_every: int | None,
    device: str,
    precision: str,
    report: Report,
    force: bool = False,
    fresh: bool = False,
) -> dict[str, float]:
    """Train a minimum and write it to a file.

    The state of an unfinished fit is kept next to it, in `.NAME.partial`, and removed at the end. Weights on the way
    are kept in the folder NAME-trajectory, if asked for.

    Args:
        asked: data and network.
        out: the file for the weights.
        recipe: fields of `Recipe`.
        checkpoint_every: epochs between two weights kept on the way; none if not given.
        device, precision: as for `fit_minimum`.
        report: gives progress functions.
        force: whether any other file at `out` is replaced.
        fresh: whether an unfinished fit starts over.

    Returns:
        The losses and errors of the minimum.
    """
    settings, out = Recipe.parse(recipe), weights_file(out)
    if checkpoint_every is not None and checkpoint_every < 1:
        raise PathfinderError(f"--checkpoint-every must be 1 epoch or more, got {checkpoint_every}.")
    kept = trajectory_folder(out.with_name(f"{out.stem}-trajectory")) if checkpoint_every else None
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
    made_of = (network.metadata(), network.identity, fingerprints(splits), code_of(data.name), settings.model_dump())
    key = key_of(*made_of, device, precision, checkpoint_every)
    may_replace(out, {"key": key}, force)
    stage = StageFile(out.with_name(f".{out.name}.partial"), key)

    def scores(by: Evaluator) -> dict[str, float]:
        return means(by.at(space.vector(module), space.statistics(module)))

    keep = kept and trajectory(
        kept,
        lambda path, epoch: network.save(path, module.state_dict(), epoch=epoch),
        checkpoint_every,
        settings.epochs,
    )
    good = out.with_name(f"{out.stem}.last-good.safetensors")
    with locked(out.with_name(f".{out.name}.lock"), f"{out} is being made"):
        for path in (out, stage.path):
            remove_scratch(path)
        if fresh:
            stage.path.unlink(missing_ok=True)
        with defer_interrupts(), last_good(good, lambda path: network.save(path, module.state_dict())):
            fit_minimum(
                module, splits["train"], monitor=watcher and (lambda: scores(watcher)), checkpoint=keep, device=device,
                precision=precision, progress=report(f"train {network.name}"), stage=stage, **settings.model_dump(),
            )  # fmt: skip
        network.save(out, module.state_dict(), recipe=settings.model_dump(), key=key)
        stage.path.unlink(missing_ok=True)
    return scores(evaluator)
