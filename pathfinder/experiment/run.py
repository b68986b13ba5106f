"""Run a config: train minima and curves, score them, write tables and figures; each step is saved when it is done."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from pathfinder.compute import find_device
from pathfinder.data.sources import smallest_pass
from pathfinder.errors import PathfinderError
from pathfinder.experiment.config import Config
from pathfinder.experiment.curve_files import fixed_tensors
from pathfinder.experiment.folder import Run
from pathfinder.experiment.measurements import Measurements
from pathfinder.experiment.network import Network, network_of
from pathfinder.experiment.pairs import End, Ends, Pair, PairPath, Trained
from pathfinder.experiment.plan import Plan
from pathfinder.experiment.probe import probe
from pathfinder.geometry.base import find_kind
from pathfinder.geometry.curves import Curve, Line
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.progress import Report, quiet
from pathfinder.scoring.settings import Planes, Scoring
from pathfinder.storage import Checkpoint, read_checkpoint
from pathfinder.storage.keys import key_of
from pathfinder.symmetry.matching import align, first_inputs, structure_of
from pathfinder.symmetry.repair import Repair
from pathfinder.symmetry.settings import Align
from pathfinder.symmetry.structure import ProvedStructure
from pathfinder.training.fit import fit_curve, fit_minimum
from pathfinder.training.loop import last_good
from pathfinder.training.settings import CurveSettings, Minimum
from pathfinder.training.trajectory import remove_trajectory, trajectory_folder
from pathfinder.weights.histogram import weight_histogram
from pathfinder.weights.space import WeightSpace
from pathfinder.weights.tensors import check_same_network


class Experiment:
    """The run of a config in a folder.

    Args:
        config: what to do.
        folder: where to write; it may hold an earlier, even interrupted run of the same name.
        report: gives the progress function of each piece of work by its name.
        fresh: whether nothing from an earlier run is used.
        checkpoints: checkpoints that were already read, by path; each is removed from here when it is used.

    Raises:
        PathfinderError: if the folder holds something else, or the data cannot be used.
    """

    def __init__(
        self,
        config: Config,
        folder: str | Path,
        report: Report = quiet,
        fresh: bool = False,
        checkpoints: dict[str, Checkpoint] | None = None,
    ) -> None:
        self.config = config
        find_device(config.device)  # fail before anything is written
        self.folder = Run(folder, config.name, report, fresh)
        self.data = config.data.load()
        self.results = self.folder.results
        self.measure = Measurements(config, self.data, self.folder)
        self._checkpoints = {} if checkpoints is None else checkpoints
        self._trained: dict[str, tuple[nn.Module, pd.DataFrame, Path]] = {}
        self._structures: dict[str, ProvedStructure] = {}  # of the networks of each pair, by its name
        self._groups: dict[str, dict[str, Trained]] = {}  # the minima of each group by their keys

    def run(self) -> pd.DataFrame:
        """Do what is missing, write tables and figures, and return the summary."""
        plans = self.config.plan()
        ends = {plan.name: self._check_ends(plan) for plan in plans}  # find every mistake before anything is written
        self._describe()
        with self.folder:
            for plan in plans:
                self._make_pair(plan, *ends.pop(plan.name))
                self.results.write()
            if self.config.align and self.config.align.every_pair:
                for group, minima in self._groups.items():
                    self.measure.score_every_pair(group, list(minima.values()), self.config.align)
        return self.results.table("summary")

    def _check_ends(self, plan: Plan) -> tuple[End, End]:
        """Both ends of a pair, checked against the data and each other."""
        ends, modules = [], []
        for end in (plan.a, plan.b):
            checkpoint = None
            if end.checkpoint is not None:
                checkpoint = self._checkpoints.pop(end.checkpoint, None) or read_checkpoint(end.checkpoint)
            network = network_of(end.model, checkpoint, self.config.data, self.data["train"])
            modules.append(network.build(end.init_seed, checkpoint))
            if checkpoint is None:
                ends.append(End(end, network))
                sizes = [smallest_pass(self.data["train"], end.batch_size, end.micro_batch_size)]
            else:
                ends.append(End(end, network, modules[-1], checkpoint.digest))
                sizes = []
            sizes += [self._smallest_batch(counted) for counted in self.config.scored()]
            probe(modules[-1], self.data, network.name, sizes)
        space = WeightSpace(modules[0])
        both = plan.a.checkpoint and plan.b.checkpoint
        if both and torch.equal(*[space.vector(module) for module in modules]):
            raise PathfinderError(
                f"{plan.a.checkpoint} and {plan.b.checkpoint} hold the same weights; give two minima."
            )
        check_same_network(*modules)
        if self.config.align:
            inputs = first_inputs(self.data["train"])
            self._structures[plan.name] = structure_of(space, inputs, self.config.align.structure)
            if self.config.align.repair and not space.has_statistics and self._smallest_batch(self.config.score) < 2:
                raise PathfinderError(
                    "REPAIR needs 2 examples or more at a time; raise score.batch_size or batch_norm_examples."
                )
        if space.has_statistics and self.config.score.batch_norm in ("training", "augmented"):
            self.data["train"].subset(1, 0).augment_once(0)  # fail early if it cannot be augmented
        for curve in plan.curves:
            empty = torch.zeros(1)
            find_kind(curve.kind, Curve)(empty, empty, bends=curve.bends)
        if space.has_statistics and self.config.score.batch_norm == "interpolate":
            for table, asked in (
                ("[planes]", self.config.planes),
                ("[[surfaces]]", self.config.surfaces),
                ("[[curvature]]", self.config.curvature),
            ):
                if asked:
                    raise PathfinderError(
                        f"score.batch_norm = interpolate has no meaning for {table}; re-estimate, or drop it."
                    )
        return ends[0], ends[1]

    def _smallest_batch(self, counted: Scoring | Planes | Surface | Curvature) -> int:
        """The smallest batch of training examples that re-estimates BatchNorm for this table."""
        examples = self.measure.examples(counted).batch_norm
        return smallest_pass(self.data["train"], self.config.score.batch_size, examples=examples)

    def _make_pair(self, plan: Plan, end_a: End, end_b: End) -> None:
        a, b = self._make_minimum(plan, "a", end_a), self._make_minimum(plan, "b", end_b)
        space = WeightSpace(a.module)
        thetas = space.vector(a.module), space.vector(b.module)
        if torch.equal(*thetas):
            raise PathfinderError(f"both minima of `{plan.name}` are the same; give a and b seeds of their own.")
        statistics = [space.statistics(a.module), space.statistics(b.module)]
        ends = Ends(space, end_a.network, thetas, statistics, [a.key, b.key])
        paths = self._make_paths(plan, ends)
        if self.config.align:
            paths |= self._make_paths(plan, self._align(plan, self.config.align, ends, end_b.network), "aligned-")
            if self.config.align.repair and self.config.score.line and not space.has_statistics:
                line = paths["aligned-line"]
                repair = Repair(space.network, self._structures[plan.name])
                paths["aligned-line-repair"] = replace(line, key=key_of(line.key, "repair"), repair=repair)
        self.measure.score_between(Pair(plan, space, paths))

    def _make_paths(self, plan: Plan, ends: Ends, prefix: str = "") -> dict[str, PairPath]:
        """The line and the trained curves between two ends."""
        paths = {}
        if self.config.score.line:
            paths[f"{prefix}line"] = PairPath(Line(*ends.thetas), ends.statistics, key_of(*ends.keys))
        for settings in plan.curves:
            title = f"{prefix}{settings.title}"
            curve, key = self._make_curve(plan, settings, ends, title)
            paths[title] = PairPath(curve, ends.statistics, key, settings.epochs)
        return paths

    def _align(self, plan: Plan, settings: Align, ends: Ends, network: Network) -> Ends:
        """The ends with b aligned to a; the aligned b is one more minimum, `NAME-b-aligned`."""
        name, space = f"{plan.name}-b-aligned", ends.space
        key = self.measure.key("align", self.config.seed, settings.matching, ends.keys)
        with self.folder.stage(f"align {plan.name}", key) as (stage, progress):
            kept: dict[str, Any] | None = stage.load()
            if kept is None:
                a, b = ends.thetas
                found = align(
                    space, a, b, self.data["train"], settings, ends.statistics, self.config.seed, progress,
                    self._structures[plan.name],
                )  # fmt: skip
                kept = {"b": found.vector, "statistics": found.statistics}
                kept["row"] = found.row(a, b)
                stage.save(kept)
        b, statistics = kept["b"], kept["statistics"]
        path = self.folder.path / "minima" / f"{name}.safetensors"
        network.save(path, space.state_dict(b, statistics), aligned={"to": f"{plan.name}-a", "method": settings.method})
        row: dict[str, Any] = {"pair": plan.name, "model": network.name, "aligned": settings.method}
        row |= self.measure.score_minimum(Trained(name, space.module(b, statistics), key))
        self.results.add("minima", pd.DataFrame([row]), name=name)
        self.results.add("alignment", pd.DataFrame([kept["row"]]), pair=plan.name, method=settings.method)
        return replace(
            ends,
            thetas=(ends.thetas[0], b),
            statistics=[ends.statistics[0], statistics],
            keys=[ends.keys[0], key],
        )

    def _make_minimum(self, plan: Plan, side: str, end: End) -> Trained:
        """Train a minimum or take it from its checkpoint; score it and what is around it."""
        name, settings, network = f"{plan.name}-{side}", end.settings, end.network
        row: dict[str, Any] = {"pair": plan.name, "model": network.name, "checkpoint": settings.checkpoint or ""}
        if end.module is not None:
            minimum = Trained(name, end.module, key_of(end.digest, network.identity))
        else:
            recipe, seed = settings.recipe, settings.init_seed
            key = self._fit_key("minimum", network.identity, recipe, seed, settings.checkpoint_every)
            module, history = self._train_minimum(name, key, network, settings)
            minimum = Trained(name, module, key)
            self.results.add_training(plan.name, side, history)
            row |= {**recipe, "init_seed": seed}
        row |= self.measure.score_minimum(minimum)
        self.results.add("minima", pd.DataFrame([row]), name=name)
        self.results.add("weights", weight_histogram(minimum.module), pair=plan.name, name=name)
        self.measure.score_around(plan, side, minimum)
        self._groups.setdefault(plan.group, {}).setdefault(minimum.key, minimum)
        return minimum

    def _train_minimum(self, name: str, key: str, network: Network, end: Minimum) -> tuple[nn.Module, pd.DataFrame]:
        kept = self.folder.path / "trajectories" / name
        if key not in self._trained:
            module = network.build(end.init_seed)
            with (
                self.folder.stage(f"minimum {name}", key, lasting=True) as (stage, progress),
                self._last_good(name, lambda path: network.save(path, module.state_dict())),
            ):
                if not end.checkpoint_every:
                    remove_trajectory(kept)
                elif not trajectory_folder(kept).is_dir():
                    stage.path.unlink(missing_ok=True)  # a finished training would not write its checkpoints again
                keep = network.keep_trajectory(module, kept, end.checkpoint_every, end.epochs)
                history = fit_minimum(
                    module, self.data["train"], monitor=self.measure.monitor_minimum(module), progress=progress,
                    stage=stage, checkpoint=keep, device=self.config.device,
                    precision=self.config.precision, **end.recipe,
                )  # fmt: skip
            self._trained[key] = module, history, kept
        module, history, first = self._trained[key]
        if first != kept and first.is_dir():
            shutil.copytree(first, kept, dirs_exist_ok=True)  # two pairs share this minimum
        path = self.folder.path / "minima" / f"{name}.safetensors"
        network.save(path, module.state_dict(), recipe=end.recipe, key=key)
        return module, history

    def _make_curve(self, plan: Plan, settings: CurveSettings, ends: Ends, title: str) -> tuple[Curve, str]:
        name, space, network = f"{plan.name}-{title}", ends.space, ends.network
        recipe = settings.model_dump(exclude={"kind", "name", "bends", "fixed_ends"})
        key = self._fit_key("curve", ends.keys, settings.kind, settings.bends, settings.fixed_ends, recipe)
        kind = find_kind(settings.kind, Curve)
        curve = kind(*ends.thetas, bends=settings.bends, fixed_ends=settings.fixed_ends)
        if curve.free():
            with (
                self.folder.stage(f"curve {name}", key, lasting=True) as (stage, progress),
                self._last_good(name, lambda path: curve.save(path, fixed_tensors(space), **network.metadata())),
            ):
                history = fit_curve(
                    curve, space, self.data["train"], monitor=self.measure.monitor_curve(curve, space),
                    progress=progress, stage=stage, device=self.config.device, precision=self.config.precision,
                    **recipe,
                )  # fmt: skip
            self.results.add_training(plan.name, title, history)
        path = self.folder.path / "curves" / f"{name}.safetensors"
        curve.save(path, fixed_tensors(space), **network.metadata(), recipe=recipe, key=key)
        return curve, key

    def _last_good(self, name: str, save: Callable[[Path], None]) -> AbstractContextManager:
        return last_good(self.folder.path / f"{name}.last-good.safetensors", save)

    def _fit_key(self, *parts: Any) -> str:
        return self.measure.key(*parts, self.data["train"].crop, self.data["train"].flip)

    def _describe(self) -> None:
        """Set what the record says of the run."""
        measured: dict[str, Any] = {"scored": self.config.score.model_dump()}
        for name in ("surfaces", "curvature"):
            asked = [settings.model_dump() for settings in getattr(self.config, name)]
            measured |= {name: asked} if asked else {}
        config = self.config.model_dump(exclude_unset=True)
        self.folder.describe(self.config.device, self.data, seed=self.config.seed, config=config, **measured)
