"""The minima of an experiment: trained, or read from checkpoints; scored, with what is around them."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

from pathfinder.data.sources import Source, smallest_pass
from pathfinder.experiment.config import Config
from pathfinder.experiment.folder import Run
from pathfinder.experiment.measurements import Measurements
from pathfinder.experiment.network import Network, network_of
from pathfinder.experiment.pairs import End, Trained
from pathfinder.experiment.probe import probe
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.scoring.settings import Planes, Scoring
from pathfinder.storage import Checkpoint, read_checkpoint
from pathfinder.storage.keys import key_of
from pathfinder.threads import threads, threads_for
from pathfinder.training.fit import fit_minimum
from pathfinder.training.settings import Minimum
from pathfinder.training.trajectory import remove_trajectory, trajectory_folder
from pathfinder.weights.histogram import weight_histogram


class Minima:
    """Makes the minima of an experiment.

    Args:
        config: how.
        data: the splits.
        run: keeps the trainings and holds the tables.
        measure: scores them.
        checkpoints: checkpoints that were already read, by path; each is removed from here when it is used.
    """

    def __init__(
        self,
        config: Config,
        data: dict[str, Source],
        run: Run,
        measure: Measurements,
        checkpoints: dict[str, Checkpoint] | None = None,
    ) -> None:
        self._config, self._data, self._run, self._measure = config, data, run, measure
        self._checkpoints = {} if checkpoints is None else checkpoints
        self._trained: dict[str, tuple[nn.Module, pd.DataFrame, Path]] = {}

    def open(self, settings: Minimum) -> tuple[End, nn.Module]:
        """A minimum before its training, or from its checkpoint, checked against the data; and its module as it is now.

        Raises:
            PathfinderError: if its network cannot be built or does not take the data.
        """
        checkpoint = None
        if settings.checkpoint is not None:
            checkpoint = self._checkpoints.pop(settings.checkpoint, None) or read_checkpoint(settings.checkpoint)
        network = network_of(settings.model, checkpoint, self._config.data, self._data["train"])
        module = network.build(settings.init_seed, checkpoint)
        sizes = [self.smallest_batch(counted) for counted in self._config.scored()]
        if checkpoint is None:
            sizes.append(smallest_pass(self._data["train"], settings.batch_size, settings.micro_batch_size))
        number = threads_for(module, self._config.threads)
        with threads(number):
            probe(module, self._data, network.name, sizes)
        if checkpoint is None:
            return End(settings, network, threads=number), module
        return End(settings, network, module, checkpoint.digest, number), module

    def smallest_batch(self, counted: Scoring | Planes | Surface | Curvature) -> int:
        """The smallest batch of training examples that re-estimates BatchNorm for a table."""
        examples = self._measure.evaluators.examples(counted).batch_norm
        return smallest_pass(self._data["train"], self._config.score.batch_size, examples=examples)

    def make(
        self, pair: str, name: str, side: str, end: End, surfaces: Sequence[Surface], in_path: bool = True
    ) -> Trained:
        """Train a minimum or take it from its checkpoint; score it and what is around it.

        Args:
            pair: what tables call the two minima, or the single one.
            name: what they call this one.
            side: which end of the pair it is, `a` or `b`; `a` for a single one.
            end: its settings.
            surfaces: to score around it.
            in_path: whether paths end in it.
        """
        settings, network = end.settings, end.network
        row: dict[str, Any] = {"pair": pair, "model": network.name, "checkpoint": settings.checkpoint or ""}
        if end.module is not None:
            minimum = Trained(name, end.module, key_of(end.digest, network.identity))
        else:
            recipe, seed = settings.recipe, settings.init_seed
            key = self._measure.evaluators.fit_key("minimum", network.identity, recipe, seed, settings.checkpoint_every)
            module, history = self._train(name, key, network, settings)
            minimum = Trained(name, module, key)
            self._run.results.add_training(pair, side, history)
            row |= {**recipe, "init_seed": seed}
        row |= self._measure.score_minimum(minimum, in_path)
        self._run.results.add("minima", pd.DataFrame([row]), name=name)
        self._run.results.add("weights", weight_histogram(minimum.module), pair=pair, name=name)
        self._measure.score_around(pair, minimum, surfaces)
        return minimum

    def _train(self, name: str, key: str, network: Network, end: Minimum) -> tuple[nn.Module, pd.DataFrame]:
        kept = self._run.path / "trajectories" / name
        if key not in self._trained:
            module = network.build(end.init_seed)
            with (
                self._run.stage(f"minimum {name}", key, lasting=True) as (stage, progress),
                self._run.last_good(name, lambda path: network.save(path, module.state_dict())),
            ):
                if not end.checkpoint_every:
                    remove_trajectory(kept)
                elif not trajectory_folder(kept).is_dir():
                    stage.path.unlink(missing_ok=True)  # a finished training would not write its checkpoints again
                keep = network.keep_trajectory(module, kept, end.checkpoint_every, end.epochs)
                history = fit_minimum(
                    module, self._data["train"], monitor=self._measure.monitor_minimum(module), progress=progress,
                    stage=stage, checkpoint=keep, device=self._config.device,
                    precision=self._config.precision, **end.recipe,
                )  # fmt: skip
            self._trained[key] = module, history, kept
        module, history, first = self._trained[key]
        if first != kept and first.is_dir():
            shutil.copytree(first, kept, dirs_exist_ok=True)  # two pairs share this minimum
        path = self._run.path / "minima" / f"{name}.safetensors"
        network.save(path, module.state_dict(), recipe=end.recipe, key=key)
        return module, history
