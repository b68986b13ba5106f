"""The training of one minimum outside of an experiment, kept as it goes so that it can be resumed."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from pathfinder.cli.outputs import may_replace, weights_file
from pathfinder.data.settings import Data
from pathfinder.data.sources import Source, digests, smallest_pass
from pathfinder.errors import PathfinderError
from pathfinder.experiment.network import Network, network_for
from pathfinder.experiment.probe import probe
from pathfinder.interrupts import defer_interrupts
from pathfinder.models.settings import Model
from pathfinder.progress import Report
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.scores import means
from pathfinder.storage import StageFile, hold_lock, remove_scratch
from pathfinder.storage.keys import code_of, key_of
from pathfinder.threads import threads, threads_for
from pathfinder.training.fit import fit_minimum
from pathfinder.training.loop import last_good
from pathfinder.training.recipe import Recipe
from pathfinder.training.trajectory import trajectory_folder
from pathfinder.weights.space import WeightSpace


@dataclass(frozen=True)
class TrainJob:
    """What to train, and where to write it.

    The state of an unfinished training is kept in `.NAME.partial` and removed at the end; weights kept on the way are
    in the folder NAME-trajectory.
    """

    data: Data
    model: Model
    recipe: Recipe
    out: Path
    checkpoint_every: int | None  # epochs
    device: str
    precision: str
    threads: int | None = None

    def run(self, report: Report, force: bool, fresh: bool) -> dict[str, float]:
        """Train, and give the losses and errors of the minimum.

        Args:
            report: gives progress functions.
            force: whether any other file at `out` is replaced.
            fresh: whether an unfinished training starts over.
        """
        out = weights_file(self.out)
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise PathfinderError(f"--checkpoint-every must be 1 epoch or more, got {self.checkpoint_every}.")
        folder = out.with_name(f"{out.stem}-trajectory")
        if self.checkpoint_every:
            trajectory_folder(folder)
        splits = self.data.load()
        network = network_for(self.model, self.data, splits["train"])
        module = network.build(self.recipe.seed)
        with threads(threads_for(module, self.threads)):
            smallest_batch = smallest_pass(splits["train"], self.recipe.batch_size, self.recipe.micro_batch_size)
            probe(module, splits, network.name, [smallest_batch])
            evaluator = self._evaluator(module, splits)
            key = self._key(network, splits)
            may_replace(out, {"key": key}, force)
            stage = StageFile(out.with_name(f".{out.name}.partial"), key)
            with hold_lock(out.with_name(f".{out.name}.lock"), f"{out} is being made"):
                for path in (out, stage.path):
                    remove_scratch(path)
                if fresh:
                    stage.path.unlink(missing_ok=True)
                self._train(network, module, splits, stage, report)
                network.save(out, module.state_dict(), recipe=self.recipe.model_dump(), key=key)
                stage.path.unlink(missing_ok=True)
            return _scores(evaluator, module)

    def _train(
        self, network: Network, module: nn.Module, splits: dict[str, Source], stage: StageFile, report: Report
    ) -> None:
        tested = {name: split for name, split in splits.items() if name != "train"}
        watcher = self._evaluator(module, tested) if tested else None
        folder, good = (
            self.out.with_name(f"{self.out.stem}{end}") for end in ("-trajectory", ".last-good.safetensors")
        )
        with defer_interrupts(), last_good(good, lambda path: network.save(path, module.state_dict())):
            fit_minimum(
                module,
                splits["train"],
                monitor=None if watcher is None else lambda: _scores(watcher, module),
                checkpoint=network.keep_trajectory(module, folder, self.checkpoint_every, self.recipe.epochs),
                device=self.device,
                precision=self.precision,
                progress=report(f"train {network.name}"),
                stage=stage,
                **self.recipe.model_dump(),
            )

    def _evaluator(self, module: nn.Module, splits: dict[str, Source]) -> Evaluator:
        return Evaluator(WeightSpace(module), splits, batch_norm="stored", device=self.device, precision=self.precision)

    def _key(self, network: Network, splits: dict[str, Source]) -> str:
        made_of = (network.metadata(), network.identity, digests(splits), code_of(self.data.name))
        return key_of(*made_of, self.recipe.model_dump(), self.device, self.precision, self.checkpoint_every)


def _scores(evaluator: Evaluator, module: nn.Module) -> dict[str, float]:
    """The losses and errors of a module as it is now."""
    space = evaluator.space
    return means(evaluator.at(space.vector(module), space.statistics(module)))
