"""Run a config: train minima and curves, score them, write tables and figures; each step is saved when it is done."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pathfinder.compute import find_device
from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError, list_names
from pathfinder.experiment.config import Config
from pathfinder.experiment.curve_files import further_tensors
from pathfinder.experiment.folder import Run
from pathfinder.experiment.measurements import Measurements
from pathfinder.experiment.minima import Minima
from pathfinder.experiment.network import Network
from pathfinder.experiment.pairs import End, Ends, Pair, PairPath, Trained
from pathfinder.experiment.plan import ALIGNED, Plan
from pathfinder.geometry.base import find_kind
from pathfinder.geometry.curves import Curve, Line
from pathfinder.progress import Report, quiet
from pathfinder.scoring.batch_norm import check_between
from pathfinder.storage import Checkpoint
from pathfinder.storage.keys import key_of
from pathfinder.symmetry.matching import align, first_inputs, structure_of
from pathfinder.symmetry.repair import Repair
from pathfinder.symmetry.settings import Align
from pathfinder.symmetry.structure import ProvedStructure
from pathfinder.threads import threads, threads_for
from pathfinder.training.fit import fit_curve
from pathfinder.training.settings import CurveSettings
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
        show_ends: called with the rows of minima.csv of two minima from checkpoints and the training data, before
            anything between them is trained.

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
        show_ends: Callable[[pd.DataFrame, Source], None] = lambda minima, train: None,
    ) -> None:
        self.config, self._show_ends = config, show_ends
        find_device(config.device)  # fail before anything is written
        self.folder = Run(folder, config.name, report, fresh)
        self.data = config.data.load()
        for surface in config.surfaces:
            if missing := [name for name in surface.splits or () if name not in self.data]:
                raise PathfinderError(
                    f"surface `{surface.title}` names the split {list_names(missing)}, but there are "
                    f"{list_names(self.data)}; name one of them."
                )
        self.results = self.folder.results
        self.measure = Measurements(config, self.data, self.folder)
        self.minima = Minima(config, self.data, self.folder, self.measure, checkpoints)
        self._structures: dict[str, ProvedStructure] = {}  # of the networks of each pair, by its name
        self._groups: dict[str, dict[str, Trained]] = {}  # the minima of each group by their keys

    def run(self) -> pd.DataFrame | None:
        """Do what is missing, write tables and figures, and return the summary; None if there are no pairs.

        Raises:
            PathfinderError: if bfloat16 and float32 disagree; at the worst point of a path once everything is written.
        """
        plans, singles = self.config.plan(), self.config.singles()
        alone = {
            one.title: self.minima.open(one)[0] for one in singles
        }  # find every mistake before anything is written
        ends = {plan.name: self._check_ends(plan) for plan in plans}
        self._describe([*alone.values(), *(end for pair in ends.values() for end in pair)])
        with self.folder:
            for name in list(alone):
                with threads(alone[name].threads):
                    self.minima.make(name, name, "a", alone.pop(name), self.config.surfaces, in_path=False)
                self.results.write()
            for plan in plans:
                with threads(ends[plan.name][0].threads):
                    self._make_pair(plan, *ends.pop(plan.name))
                self.results.write()
            if self.config.align and self.config.align.every_pair:
                for group, minima in self._groups.items():
                    with threads(threads_for(next(iter(minima.values())).module, self.config.threads)):
                        self.measure.score_every_pair(group, list(minima.values()), self.config.align)
        self.measure.checks.raise_failures()
        return self.results.table("summary") if plans else None

    def _check_ends(self, plan: Plan) -> tuple[End, End]:
        """Both ends of a pair, checked against the data and each other."""
        (first, module_a), (second, module_b) = self.minima.open(plan.a), self.minima.open(plan.b)
        ends, modules = (first, second), (module_a, module_b)
        space = WeightSpace(modules[0])
        both = plan.a.checkpoint and plan.b.checkpoint
        if both and torch.equal(*[space.vector(module) for module in modules]):
            raise PathfinderError(
                f"{plan.a.checkpoint} and {plan.b.checkpoint} hold the same weights; give two minima."
            )
        check_same_network(*modules)
        if self.config.align:
            inputs = first_inputs(self.data["train"])
            with threads(first.threads):
                self._structures[plan.name] = structure_of(space, inputs, self.config.align.structure)
            if (
                self.config.align.repair
                and not space.has_statistics
                and self.minima.smallest_batch(self.config.score) < 2
            ):
                raise PathfinderError(
                    "REPAIR needs 2 examples or more at a time; raise score.batch_size or batch_norm_examples."
                )
        for curve in plan.curves:
            empty = torch.zeros(1)
            find_kind(curve.kind, Curve)(empty, empty, bends=curve.bends)
        mixed = self.config.score.batch_norm in ("interpolate", "stored")
        if space.has_statistics and mixed and self.config.planes:
            raise PathfinderError(
                f"score.batch_norm = {self.config.score.batch_norm} mixes the statistics of two ends, which has no "
                "meaning for [planes]; re-estimate them with `training`, or drop the planes."
            )
        if space.has_statistics and mixed:
            check_between(*self.config.score.range)
        return ends

    def _make_pair(self, plan: Plan, end_a: End, end_b: End) -> None:
        a, b = (
            self.minima.make(
                plan.name, f"{plan.name}-{side}", side, end, [s for s in self.config.surfaces if side in s.minima]
            )
            for side, end in (("a", end_a), ("b", end_b))
        )
        for minimum in (a, b):
            self._groups.setdefault(plan.group, {}).setdefault(minimum.key, minimum)
        if plan.a.checkpoint and plan.b.checkpoint:
            minima = self.results.table("minima")
            self._show_ends(minima[minima["pair"] == plan.name], self.data["train"])
        space = WeightSpace(a.module)
        thetas = space.vector(a.module), space.vector(b.module)
        if torch.equal(*thetas):
            raise PathfinderError(f"both minima of `{plan.name}` are the same; give a and b seeds of their own.")
        statistics = [space.statistics(a.module), space.statistics(b.module)]
        ends = Ends(space, end_a.network, thetas, statistics, [a.key, b.key])
        paths = self._make_paths(plan, ends)
        if self.config.align:
            paths |= self._make_paths(plan, self._align(plan, self.config.align, ends, end_b.network), ALIGNED)
            if self.config.align.repair and self.config.score.line and not space.has_statistics:
                line = paths[f"{ALIGNED}line"]
                repair = Repair(space.network, self._structures[plan.name])
                paths[f"{ALIGNED}line-repair"] = replace(line, key=key_of(line.key, "repair"), repair=repair)
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
        key = self.measure.evaluators.key("align", self.config.seed, settings.matching, ends.keys)
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
        row |= self.measure.score_minimum(Trained(name, space.module(b, statistics), key), in_path=True)
        self.results.add("minima", pd.DataFrame([row]), name=name)
        self.results.add("alignment", pd.DataFrame([kept["row"]]), pair=plan.name, method=settings.method)
        return replace(
            ends,
            thetas=(ends.thetas[0], b),
            statistics=[ends.statistics[0], statistics],
            keys=[ends.keys[0], key],
        )

    def _make_curve(self, plan: Plan, settings: CurveSettings, ends: Ends, title: str) -> tuple[Curve, str]:
        name, space, network = f"{plan.name}-{title}", ends.space, ends.network
        recipe = settings.model_dump(exclude={"kind", "name", "bends", "fixed_ends"})
        key = self.measure.evaluators.fit_key(
            "curve", ends.keys, settings.kind, settings.bends, settings.fixed_ends, recipe
        )
        kind = find_kind(settings.kind, Curve)
        curve = kind(*ends.thetas, bends=settings.bends, fixed_ends=settings.fixed_ends)
        if curve.free():
            with (
                self.folder.stage(f"curve {name}", key, lasting=True) as (stage, progress),
                self.folder.last_good(
                    name, lambda path: curve.save(path, further_tensors(space, ends.statistics), **network.metadata())
                ),
            ):
                history = fit_curve(
                    curve, space, self.data["train"], monitor=self.measure.monitor_curve(curve, space),
                    progress=progress, stage=stage, device=self.config.device, precision=self.config.precision,
                    **recipe,
                )  # fmt: skip
            self.results.add_training(plan.name, title, history)
        path = self.folder.path / "curves" / f"{name}.safetensors"
        curve.save(path, further_tensors(space, ends.statistics), **network.metadata(), recipe=recipe, key=key)
        return curve, key

    def _describe(self, ends: Sequence[End]) -> None:
        """Set what the record says of the run, and of the threads for these minima."""
        measured: dict[str, Any] = {"scored": self.config.score.model_dump()}
        for name in ("surfaces", "curvature"):
            asked = [settings.model_dump() for settings in getattr(self.config, name)]
            measured |= {name: asked} if asked else {}
        config = self.config.model_dump(exclude_unset=True)
        numbers = sorted({end.threads for end in ends})
        self.folder.describe(self.config.device, self.data, numbers, seed=self.config.seed, config=config, **measured)
