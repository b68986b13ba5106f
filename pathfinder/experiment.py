"""Experiment: runs a config. Minima, curves between them, scores, tables, figures; each step kept as it is done."""

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from pathfinder import __version__, tables
from pathfinder.config import Config, CurveSettings, Minimum, Plan, Planes, Scoring, Surface
from pathfinder.data import smallest
from pathfinder.errors import PathfinderError
from pathfinder.evaluate import Evaluator, means
from pathfinder.fit import fit_curve, fit_minimum
from pathfinder.folder import Report, RunFolder, digest, fingerprints, key_of, quiet
from pathfinder.geometry import Curve, Line, kind_named
from pathfinder.landscape import landscape
from pathfinder.networks import Network, beside_curve, last_good, network_of, probe, trajectory
from pathfinder.plane import Plane
from pathfinder.results import Results
from pathfinder.scores import Scores
from pathfinder.weights import WeightSpace, same_network

_ALL = {"examples": None, "batch_norm_examples": None}


@dataclass(frozen=True)
class _Pair:
    """Two minima and the paths between them, with what these depend on."""

    plan: Plan
    space: WeightSpace
    statistics: list[Tensor]  # of BatchNorm, at the ends
    curves: dict[str, Curve]
    keys: dict[str, str]


class Experiment:
    """One run of a config in a folder.

    Args:
        config: what to do.
        folder: where to write; it may hold an earlier, even interrupted run of the experiment of this name.
        report: gives the progress function of each piece of work by its name.

    Raises:
        PathfinderError: if the folder holds something else, or the data cannot be used.
    """

    def __init__(self, config: Config, folder: str | Path, report: Report = quiet) -> None:
        self.config = config
        self.folder = RunFolder(folder, config.name, report)
        self.data = config.data.load()
        self.results = Results(self.folder.path)
        self._trained: dict[str, tuple[nn.Module, pd.DataFrame, Path]] = {}

    def run(self) -> pd.DataFrame:
        """Do all that is missing, write the tables and figures, and give the summary."""
        from pathfinder.figures import draw

        plans = self.config.plan()
        networks = {plan.name: self._networks(plan) for plan in plans}  # every mistake shows before anything is written
        self._write_record()
        for plan in plans:
            self._pair(plan, *networks[plan.name])
            self.results.write()
        self.results.remove_stale()
        draw(self.folder.path)
        self._write_record()
        return self.results.table("summary")

    def _networks(self, plan: Plan) -> tuple[Network, Network]:
        """The networks of both ends, checked against the data and each other."""
        networks = [network_of(end, self.config.data, self.data["train"]) for end in (plan.a, plan.b)]
        modules = []
        for end, network in zip((plan.a, plan.b), networks, strict=True):
            modules.append(network.build(end.init_seed, end.checkpoint))
            sizes = [smallest(self.data["train"], end.batch_size, end.micro_batch_size)] if not end.checkpoint else []
            for counted in (self.config.score, *filter(None, [self.config.planes]), *self.config.surfaces):
                norm = self._counts(counted)["batch_norm_examples"]
                sizes.append(smallest(self.data["train"], self.config.score.batch_size, examples=norm))
            probe(modules[-1], self.data, network.name, sizes)
        space = WeightSpace(modules[0])
        if plan.a.checkpoint and plan.b.checkpoint:
            ends = [space.vector(module) for module in modules]
            if torch.equal(*ends):
                raise PathfinderError(
                    f"{plan.a.checkpoint} and {plan.b.checkpoint} hold the same weights; give two minima."
                )
        same_network(*modules)
        for curve in plan.curves:
            empty = torch.zeros(1)
            kind_named(curve.kind)(empty, empty, bends=curve.bends)
        if self.config.planes and space.has_statistics and self.config.score.batch_norm == "interpolate":
            raise PathfinderError("score.batch_norm = interpolate has no meaning off the paths; drop [planes].")
        return networks[0], networks[1]

    def _pair(self, plan: Plan, network_a: Network, network_b: Network) -> None:
        module_a, key_a = self._minimum(plan, "a", plan.a, network_a)
        module_b, key_b = self._minimum(plan, "b", plan.b, network_b)
        space = WeightSpace(module_a)
        a, b = space.vector(module_a), space.vector(module_b)
        if torch.equal(a, b):
            raise PathfinderError(f"both minima of `{plan.name}` are the same; give a and b seeds of their own.")
        statistics = [space.statistics(module_a), space.statistics(module_b)]
        evaluator = self._evaluator(space, statistics)
        curves: dict[str, Curve] = {"line": Line(a, b)} if self.config.score.line else {}
        keys = {"line": key_of(key_a, key_b)}
        for settings in plan.curves:
            curve, key = self._curve(plan, settings, space, (a, b), [key_a, key_b], network_a)
            curves[settings.title], keys[settings.title] = curve, key
        pair = _Pair(plan, space, statistics, curves, keys)
        scored = {name: self._path(pair, name, evaluator) for name in curves}
        self.results.add_paths(plan.group, plan.name, scored)
        if self.config.score.rescore and evaluator.counts() != self._evaluator(space, statistics, **_ALL).counts():
            self._rescore(pair, scored)
        if self.config.planes is not None:
            self._planes(pair, self.config.planes)

    def _minimum(self, plan: Plan, side: str, end: Minimum, network: Network) -> tuple[nn.Module, str]:
        name = f"{plan.name}-{side}"
        if end.checkpoint:
            module = network.build(end.init_seed, end.checkpoint)
            key = key_of(digest(end.checkpoint), network.description)
        else:
            key = self._fit_key("minimum", network.description, end.recipe, end.init_seed, end.checkpoint_every)
            module, history = self._train(name, key, network, end)
            self.results.add_training(plan.name, side, history)
        row = {"pair": plan.name, "model": network.name, "checkpoint": end.checkpoint or ""}
        row |= {} if end.checkpoint else {**end.recipe, "init_seed": end.init_seed}
        scores, counts = self._own_scores(name, key, module)
        self.results.add("minima", pd.DataFrame([{**row, **scores, **counts}]), name=name)
        self.results.add("weights", tables.weight_histogram(module), pair=plan.name, name=name)
        self._surfaces(plan, side, module, key)
        return module, key

    def _train(self, name: str, key: str, network: Network, end: Minimum) -> tuple[nn.Module, pd.DataFrame]:
        kept = self.folder.path / "trajectories" / name
        if key not in self._trained:
            module = network.build(end.init_seed)
            with (
                self.folder.stage(f"minimum {name}", key) as (stage, progress),
                self._last_good(name, lambda path: network.save(path, module.state_dict())),
            ):
                if not end.checkpoint_every:
                    shutil.rmtree(kept, ignore_errors=True)
                elif not kept.is_dir():
                    stage.path.unlink(missing_ok=True)  # a finished fit would not pass the checkpoints again
                history = fit_minimum(
                    module, self.data["train"], monitor=self._watched(module), progress=progress, stage=stage,
                    checkpoint=end.checkpoint_every
                    and trajectory(kept, network, module, end.checkpoint_every, end.epochs),
                    device=self.config.device, precision=self.config.precision, **end.recipe,
                )  # fmt: skip
            self._trained[key] = module, history, kept
        module, history, first = self._trained[key]
        if first != kept and first.is_dir():
            shutil.copytree(first, kept, dirs_exist_ok=True)  # of a minimum that two pairs share
        path = self.folder.path / "minima" / f"{name}.safetensors"
        network.save(path, module.state_dict(), recipe=end.recipe, key=key)
        return module, history

    def _curve(
        self,
        plan: Plan,
        settings: CurveSettings,
        space: WeightSpace,
        ends: tuple[Tensor, Tensor],
        keys: list[str],
        network: Network,
    ) -> tuple[Curve, str]:
        name = f"{plan.name}-{settings.title}"
        recipe = settings.model_dump(exclude={"kind", "name", "bends", "fixed_ends"})
        key = self._fit_key("curve", keys, settings.kind, settings.bends, settings.fixed_ends, recipe)
        curve = kind_named(settings.kind)(*ends, bends=settings.bends, fixed_ends=settings.fixed_ends)
        if curve.free():
            with (
                self.folder.stage(f"curve {name}", key) as (stage, progress),
                self._last_good(name, lambda path: curve.save(path, beside_curve(space), **network.metadata())),
            ):
                history = fit_curve(
                    curve, space, self.data["train"], monitor=self._watched_middle(curve, space), progress=progress,
                    stage=stage, device=self.config.device, precision=self.config.precision, **recipe,
                )  # fmt: skip
            self.results.add_training(plan.name, settings.title, history)
        path = self.folder.path / "curves" / f"{name}.safetensors"
        curve.save(path, beside_curve(space), **network.metadata(), recipe=recipe, key=key)
        return curve, key

    def _path(self, pair: _Pair, name: str, evaluator: Evaluator) -> Scores:
        score, curve = self.config.score, pair.curves[name]
        t = curve.grid(score.points, *score.range) if isinstance(curve, Line) else curve.grid(score.points)
        key = self._scoring_key(pair.keys[name], t.tolist())
        with self.folder.stage(f"score {pair.plan.name}-{name}", key) as (stage, progress):
            return evaluator.score(curve, t, progress=progress, stage=stage)

    def _planes(self, pair: _Pair, settings: Planes) -> None:
        counts, plan = self._counts(settings), pair.plan
        evaluator = self._evaluator(pair.space, pair.statistics, **counts)
        for name in settings.curves or [curve.title for curve in plan.curves if curve.bends > 0]:
            curve = pair.curves[name]
            plane = Plane.of(curve)
            grid = plane.grid(settings.points, settings.margin)
            key = self._scoring_key(pair.keys[name], grid.tolist(), counts)
            with self.folder.stage(f"plane {plan.name}-{name}", key) as (stage, progress):
                scored = evaluator.score(plane, grid, progress=progress, stage=stage)
            self.results.add_plane(plan.name, name, plane, scored, pair.curves, curve.grid(self.config.score.points))

    def _rescore(self, pair: _Pair, scored: dict[str, Scores]) -> None:
        """The ends, and where each path is worst, on all examples."""
        evaluator, first = self._evaluator(pair.space, pair.statistics, **_ALL), next(iter(pair.curves))
        points = {"ends": [0.0, 1.0], **{name: tables.peaks(scores.table) for name, scores in scored.items()}}
        for name, t in points.items():
            if not t:
                continue
            path = name if name in pair.curves else first
            key = self._scoring_key("rescore", pair.keys[path], t)
            with self.folder.stage(f"rescore {pair.plan.name}-{name}", key) as (stage, progress):
                at = torch.tensor(t, dtype=torch.float64)
                found = evaluator.score(pair.curves[path], at, progress=progress, stage=stage)
            self.results.add_rescored(pair.plan.name, name, found)

    def _surfaces(self, plan: Plan, side: str, module: nn.Module, key: str) -> None:
        """The profiles and surfaces around a minimum."""
        name, space = f"{plan.name}-{side}", WeightSpace(module)
        kept = sorted((self.folder.path / "trajectories" / name).glob("epoch-*.safetensors"))
        for settings in self.config.surfaces:
            if side not in settings.minima:
                continue
            found = landscape(space, space.vector(module), settings, kept)
            counts = self._counts(settings)
            evaluator = self._evaluator(space, **counts)
            drawn = settings.model_dump(exclude={"minima", "points", "span", "name"})
            own = self._scoring_key("surface", key, drawn, found.t.tolist(), counts)
            with self.folder.stage(f"surface {name}-{settings.title}", own) as (stage, progress):
                scored = evaluator.score(found.geometry, found.t, progress=progress, stage=stage)
            self.results.add_surface(plan.name, name, settings.title, scored, found.trajectory)

    def _counts(self, settings: Scoring | Planes | Surface) -> dict[str, int | None]:
        """How many examples are scored and re-estimate BatchNorm: as for the paths, unless set otherwise."""
        return {
            "examples": settings.examples or self.config.score.examples,
            "batch_norm_examples": settings.batch_norm_examples or self.config.score.batch_norm_examples,
        }

    def _evaluator(
        self,
        space: WeightSpace,
        statistics: list[Tensor] | None = None,
        held_out: bool = False,
        **counts: int | None,
    ) -> Evaluator | None:
        """The evaluator of the config, for all splits or all but `train`; counts of examples may be others."""
        score = self.config.score
        data = {name: split for name, split in self.data.items() if not (held_out and name == "train")}
        if not data:
            return None
        interpolated = score.batch_norm == "interpolate"
        return Evaluator(
            space,
            data,
            batch_norm="reestimate" if interpolated and statistics is None else score.batch_norm,
            statistics=statistics,
            batch_norm_data=self.data["train"],
            batch_size=score.batch_size,
            seed=self.config.seed,
            device=self.config.device,
            precision=self.config.precision,
            **{"examples": score.examples, "batch_norm_examples": score.batch_norm_examples, **counts},
        )

    def _own_scores(self, name: str, key: str, module: nn.Module) -> tuple[dict[str, float], dict[str, int]]:
        """What a minimum scores on all examples with the running statistics it was trained with, and its norm."""
        own = self._key("own scores", self.config.score.batch_size, key)
        with self.folder.stage(f"minimum scores {name}", own) as (stage, _):
            if (kept := stage.load()) is None:
                space = WeightSpace(module)
                theta = space.vector(module)
                evaluator = self._evaluator(space, examples=None)
                scores = evaluator.at(theta, space.statistics(module))
                counts = {**evaluator.counts(), "batch_norm_examples": 0}
                kept = {"scores": {**means(scores), "norm": float(theta.double().norm())}, "counts": counts}
                stage.save(kept)
        return kept["scores"], kept["counts"]

    def _watched(self, module: nn.Module) -> Callable[[], dict[str, float]] | None:
        """The scores of a module in training, on all splits but `train`, and how many examples these are of."""
        space = WeightSpace(module)
        evaluator = self._evaluator(space, held_out=True)
        counts = evaluator and {**evaluator.counts(), "batch_norm_examples": 0}
        return evaluator and (lambda: {**means(evaluator.at(space.vector(module), space.statistics(module))), **counts})

    def _watched_middle(self, curve: Curve, space: WeightSpace) -> Callable[[], dict[str, float]] | None:
        """Likewise of a curve in training, at t = 1/2."""
        evaluator, middle = self._evaluator(space, held_out=True), torch.tensor([0.5], dtype=torch.float64)
        return evaluator and (lambda: {**means(evaluator.at(curve(middle)[0])), **evaluator.counts()})

    def _last_good(self, name: str, save: Callable[[Path], None]) -> AbstractContextManager:
        return last_good(self.folder.path / f"{name}.last-good.safetensors", save)

    def _key(self, *parts: Any) -> str:
        """What all work depends on."""
        return key_of(__version__, self._fingerprints, self.config.device, self.config.precision, *parts)

    def _fit_key(self, *parts: Any) -> str:
        return self._key(*parts, self.data["train"].crop, self.data["train"].flip)

    def _scoring_key(self, *parts: Any) -> str:
        score = self.config.score.model_dump(exclude={"points", "line", "range", "rescore"})
        return self._key("score", self.config.seed, score, *parts)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return fingerprints(self.data)

    def _write_record(self) -> None:
        config, scored = self.config.model_dump(exclude_unset=True), self.config.score.model_dump()
        self.folder.write_record(self.config.device, self.data, seed=self.config.seed, config=config, scored=scored)
