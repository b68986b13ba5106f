"""Experiment: runs a config. Minima, curves between them, scores, tables, figures; each step kept as it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from pathfinder import __version__
from pathfinder.config import Config, CurveSettings, Minimum, Plan
from pathfinder.datasets import load_labelled
from pathfinder.errors import PathfinderError
from pathfinder.evaluate import Evaluator, means
from pathfinder.fit import DivergedError, fit_curve, fit_minimum
from pathfinder.folder import Report, RunFolder, digest, fingerprints, key_of, quiet
from pathfinder.geometry import Curve, Line, kind_named
from pathfinder.networks import Network, beside_curve, network_of, probe
from pathfinder.plane import Plane
from pathfinder.results import Results
from pathfinder.scores import Scores
from pathfinder.weights import WeightSpace, same_network


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
        self.data = load_labelled(config.data.name)
        self.results = Results(self.folder.path)
        self._trained: dict[str, tuple[nn.Module, pd.DataFrame]] = {}

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
        networks = [network_of(end, self.config.data.name, self.data["train"]) for end in (plan.a, plan.b)]
        modules = []
        for end, network in zip((plan.a, plan.b), networks, strict=True):
            modules.append(network.build(end.init_seed, end.checkpoint))
            probe(modules[-1], self.data, network.name)
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
        evaluator = self._evaluator(space, statistics, self.config.score.examples)
        curves: dict[str, Curve] = {"line": Line(a, b)} if self.config.score.line else {}
        keys = {"line": key_of(key_a, key_b)}
        for settings in plan.curves:
            curve, key = self._curve(plan, settings, space, (a, b), [key_a, key_b], network_a)
            curves[settings.title], keys[settings.title] = curve, key
        scored = {name: self._path(plan, name, curve, evaluator, keys[name]) for name, curve in curves.items()}
        self.results.add_paths(plan.group, plan.name, scored)
        self._planes(plan, space, statistics, curves, keys)

    def _minimum(self, plan: Plan, side: str, end: Minimum, network: Network) -> tuple[nn.Module, str]:
        name = f"{plan.name}-{side}"
        recipe = end.model_dump(exclude={"model", "checkpoint", "init_seed"})
        if end.checkpoint:
            module = network.build(end.init_seed, end.checkpoint)
            key = key_of(digest(end.checkpoint), network.description)
        else:
            key = self._key("minimum", network.description, recipe, end.init_seed)
            module, history = self._train(name, key, network, end, recipe)
            self.results.add_training(plan.name, side, history)
        row = {"pair": plan.name, "model": network.name, "checkpoint": end.checkpoint or ""}
        row |= {} if end.checkpoint else {**recipe, "init_seed": end.init_seed}
        scores, counts = self._own_scores(name, key, module)
        self.results.add("minima", pd.DataFrame([{**row, **scores, **counts}]), name=name)
        return module, key

    def _train(
        self, name: str, key: str, network: Network, end: Minimum, recipe: dict
    ) -> tuple[nn.Module, pd.DataFrame]:
        if key not in self._trained:
            module = network.build(end.init_seed)
            with (
                self.folder.stage(f"minimum {name}", key) as (stage, progress),
                self._last_good(name, module, network),
            ):
                history = fit_minimum(
                    module, self.data["train"], monitor=self._test_scores(module), progress=progress, stage=stage,
                    device=self.config.device, precision=self.config.precision, **recipe,
                )  # fmt: skip
            self._trained[key] = module, history
        module, history = self._trained[key]
        network.save(self.folder.path / "minima" / f"{name}.safetensors", module.state_dict(), recipe=recipe, key=key)
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
        key = self._key("curve", keys, settings.kind, settings.bends, settings.fixed_ends, recipe)
        curve = kind_named(settings.kind)(*ends, bends=settings.bends, fixed_ends=settings.fixed_ends)
        if curve.free():
            evaluator = self._evaluator(space, None, self.config.score.examples, only="test")
            with (
                self.folder.stage(f"curve {name}", key) as (stage, progress),
                self._last_good(name, curve, network, beside_curve(space)),
            ):
                history = fit_curve(
                    curve, space, self.data["train"], monitor=self._middle_scores(curve, evaluator), progress=progress,
                    stage=stage, device=self.config.device, precision=self.config.precision, **recipe,
                )  # fmt: skip
            self.results.add_training(plan.name, settings.title, history)
        path = self.folder.path / "curves" / f"{name}.safetensors"
        curve.save(path, beside_curve(space), **network.metadata(), recipe=recipe, key=key)
        return curve, key

    def _path(self, plan: Plan, name: str, curve: Curve, evaluator: Evaluator, key: str) -> Scores:
        score = self.config.score
        t = curve.grid(score.points, *score.range) if isinstance(curve, Line) else curve.grid(score.points)
        with self.folder.stage(f"score {plan.name}-{name}", self._scoring_key(key, t.tolist())) as (
            stage,
            progress,
        ):
            return evaluator.score(curve, t, progress=progress, stage=stage)

    def _planes(
        self,
        plan: Plan,
        space: WeightSpace,
        statistics: list[Tensor],
        curves: dict[str, Curve],
        keys: dict[str, str],
    ) -> None:
        if self.config.planes is None:
            return
        settings = self.config.planes
        examples = settings.examples or self.config.score.examples
        evaluator = self._evaluator(space, statistics, examples)
        for name in settings.curves or [curve.title for curve in plan.curves if curve.bends > 0]:
            curve = curves[name]
            plane = Plane.of(curve)
            grid = plane.grid(settings.points, settings.margin)
            key = self._scoring_key(keys[name], grid.tolist(), examples)
            with self.folder.stage(f"plane {plan.name}-{name}", key) as (stage, progress):
                scored = evaluator.score(plane, grid, progress=progress, stage=stage)
            self.results.add_plane(plan.name, name, plane, scored, curves, curve.grid(self.config.score.points))

    def _evaluator(
        self,
        space: WeightSpace,
        statistics: list[Tensor] | None,
        examples: int | None,
        only: str | None = None,
    ) -> Evaluator | None:
        score = self.config.score
        data = self.data if only is None else {name: split for name, split in self.data.items() if name == only}
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
            examples=examples,
            batch_norm_examples=score.batch_norm_examples,
            seed=self.config.seed,
            device=self.config.device,
            precision=self.config.precision,
        )

    def _own_scores(self, name: str, key: str, module: nn.Module) -> tuple[dict[str, float], dict[str, int]]:
        """What a minimum scores with the running statistics it was trained with, its norm, and the examples scored."""
        with self.folder.stage(f"score {name}", self._scoring_key(key)) as (stage, _):
            if (kept := stage.load()) is None:
                space = WeightSpace(module)
                theta = space.vector(module)
                evaluator = self._evaluator(space, None, self.config.score.examples)
                scores = evaluator.at(theta, space.statistics(module))
                counts = {**evaluator.counts(), "batch_norm_examples": 0}
                kept = {"scores": {**means(scores), "norm": float(theta.double().norm())}, "counts": counts}
                stage.save(kept)
        return kept["scores"], kept["counts"]

    def _test_scores(self, module: nn.Module) -> Callable[[], dict[str, float]] | None:
        """The test scores of a module in training."""
        space = WeightSpace(module)
        evaluator = self._evaluator(space, None, self.config.score.examples, only="test")
        return evaluator and (lambda: means(evaluator.at(space.vector(module), space.statistics(module))))

    def _middle_scores(self, curve: Curve, evaluator: Evaluator | None) -> Callable[[], dict[str, float]] | None:
        """The test scores of a curve in training, at t = 1/2."""
        return evaluator and (lambda: means(evaluator.at(curve(torch.tensor([0.5], dtype=torch.float64))[0])))

    @contextmanager
    def _last_good(
        self, name: str, owner: nn.Module, network: Network, beside: dict[str, Tensor] | None = None
    ) -> Iterator[None]:
        """Where training diverges, keep the last good weights beside where the result would have been."""
        try:
            yield
        except DivergedError as error:
            path = self.folder.path / f"{name}.last-good.safetensors"
            if isinstance(owner, Curve):
                owner.save(path, beside, **network.metadata())
            else:
                network.save(path, owner.state_dict())
            raise PathfinderError(f"{name}: {error} The last good weights are in {path}.") from error

    def _key(self, *parts: Any) -> str:
        """What a fit depends on."""
        return key_of(__version__, self._fingerprints, self.config.device, self.config.precision, *parts)

    def _scoring_key(self, *parts: Any) -> str:
        score = self.config.score.model_dump(exclude={"points", "line", "range"})
        return self._key("score", self.config.seed, score, *parts)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return fingerprints(self.data)

    def _write_record(self) -> None:
        config, scored = self.config.model_dump(exclude_unset=True), self.config.score.model_dump()
        self.folder.write_record(self.config.device, self.data, seed=self.config.seed, config=config, scored=scored)
