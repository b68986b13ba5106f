"""Score the minima of an experiment and the paths between them; each piece is saved when it is done."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from pathfinder.data.sources import Source, digests
from pathfinder.errors import PathfinderWarning
from pathfinder.experiment.config import Config
from pathfinder.experiment.folder import Run
from pathfinder.experiment.pairs import Pair, Trained
from pathfinder.experiment.plan import Plan
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve, Line
from pathfinder.geometry.planes import Plane
from pathfinder.landscape.curvature import curvature_table
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.landscape.surfaces import build_landscape
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.scores import Scores, means
from pathfinder.scoring.settings import Planes, Scoring
from pathfinder.storage.keys import code_of, key_of
from pathfinder.symmetry.matching import align, first_inputs, structure_of
from pathfinder.symmetry.repair import Repair
from pathfinder.symmetry.settings import Align
from pathfinder.tables.summary import barriers, peaks
from pathfinder.training.loop import Monitor
from pathfinder.training.trajectory import trajectory_in
from pathfinder.weights.space import WeightSpace


@dataclass(frozen=True)
class Examples:
    """How many examples of each split are scored, and how many re-estimate BatchNorm; None for all."""

    scored: int | None
    batch_norm: int | None


class Measurements:
    """Scores minima and paths as a config says, and adds them to the tables of a run.

    Args:
        config: what to score, and how.
        data: the splits.
        run: saves each piece of work and holds the tables.
    """

    def __init__(self, config: Config, data: dict[str, Source], run: Run) -> None:
        self.config, self.data, self.run = config, data, run

    def key(self, *parts: Any) -> str:
        """The key of a piece of work that depends on these parts; all work depends on data, device and precision."""
        data = {**self._digests, "code": code_of(self.config.data.name)}
        return key_of(data, self.config.device, self.config.precision, *parts)

    def examples(self, settings: Scoring | Planes | Surface | Curvature | None = None) -> Examples:
        """The examples that a table of the config asks for; `[score]` says what it leaves out."""
        score = self.config.score
        asked = score if settings is None else settings
        return Examples(asked.examples or score.examples, asked.batch_norm_examples or score.batch_norm_examples)

    def monitor_minimum(self, module: nn.Module) -> Monitor | None:
        """What `fit_minimum` calls to score a module on all splits but `train`; None if there are no others."""
        if not self._held_out:
            return None
        space = WeightSpace(module)
        evaluator = self._evaluator(space, data=self._held_out)
        counts = {**evaluator.counts(), "batch_norm_examples": 0}
        return lambda: {**means(evaluator.at(space.vector(module), space.statistics(module))), **counts}

    def monitor_curve(self, curve: Curve, space: WeightSpace) -> Monitor | None:
        """What `fit_curve` calls to score the middle of a curve on all splits but `train`; None without others."""
        if not self._held_out:
            return None
        evaluator, middle = self._evaluator(space, data=self._held_out), torch.tensor([0.5], dtype=torch.float64)
        return lambda: {**means(evaluator.at(curve(middle)[0])), **evaluator.counts()}

    def score_minimum(self, minimum: Trained) -> dict[str, float]:
        """Score a minimum on all examples, with the running statistics it was trained with; its norm too."""
        key = self.key("own scores", self.config.score.batch_size, minimum.key)
        with self.run.stage(f"minimum scores {minimum.name}", key) as (stage, _):
            kept: dict[str, Any] | None = stage.load()
            if kept is None:
                space = WeightSpace(minimum.module)
                theta = space.vector(minimum.module)
                evaluator = self._evaluator(space, examples=replace(self.examples(), scored=None))
                scores = evaluator.at(theta, space.statistics(minimum.module))
                counts = {**evaluator.counts(), "batch_norm_examples": 0}
                kept = {"scores": {**means(scores), "norm": float(theta.double().norm())}, "counts": counts}
                stage.save(kept)
        return {**kept["scores"], **kept["counts"]}

    def score_around(self, plan: Plan, side: str, minimum: Trained) -> None:
        """Score the profiles and surfaces around a minimum, and measure the curvature over them."""
        surfaces = [settings for settings in self.config.surfaces if side in settings.minima]
        if not surfaces:
            return
        name, space = minimum.name, WeightSpace(minimum.module)
        theta = space.vector(minimum.module)
        trajectory = trajectory_in(self.run.path / "trajectories" / name, space)
        for settings in surfaces:
            found = build_landscape(space, theta, settings, trajectory)
            examples = self.examples(settings)
            drawn = settings.model_dump(exclude={"minima", "points", "span", "name"})
            key = self._scoring_key("surface", minimum.key, drawn, found.t.tolist(), examples)
            with self.run.stage(f"surface {name}-{settings.title}", key) as (stage, progress):
                evaluator = self._evaluator(space, examples=examples)
                scored = evaluator.score(found.geometry, found.t, progress=progress, stage=stage)
            self.run.results.add_surface(plan.name, name, settings.title, scored, found.trajectory)
            for asked in self.config.curvature:
                if asked.along == settings.title:
                    t, key = found.grid(asked.points), self.key("surface", minimum.key, drawn)
                    table = self._measure_curvature(asked, name, space, found.geometry, t, key)
                    self.run.results.add_curvature(plan.name, name, asked.along, table)

    def score_between(self, pair: Pair) -> None:
        """Score the paths of a pair, some points once more, and their planes; measure the curvature along them."""
        scored = {name: self._score_path(pair, name) for name in pair.paths}
        epochs = {name: path.epochs for name, path in pair.paths.items()} if self.config.align else None
        self._compare_ends(pair, scored)
        self.run.results.add_paths(pair.plan.group, pair.plan.name, scored, epochs)
        if self.config.score.rescore:
            self._rescore(pair, scored)
        if self.config.planes is not None:
            self._score_planes(pair, self.config.planes)
        for asked in self.config.curvature:
            if asked.along in pair.paths:
                assert isinstance(asked.points, int)  # the config has checked it
                path = pair.paths[asked.along]
                t = path.curve.grid(asked.points)
                table = self._measure_curvature(asked, pair.plan.name, pair.space, path.curve, t, path.key)
                self.run.results.add_curvature(pair.plan.name, "", asked.along, table)

    def score_every_pair(self, group: str, minima: Sequence[Trained], settings: Align) -> None:
        """Score the line between every two minima of a group, as they are and aligned, for its barrier."""
        structure = None  # found once: the networks of a group are alike
        for first, second in combinations(minima, 2):
            space = WeightSpace(first.module)
            a, b = space.vector(first.module), space.vector(second.module)
            own = [space.statistics(first.module), space.statistics(second.module)]
            for method in ("none", settings.method):
                how = {} if method == "none" else settings.matching
                key = self._scoring_key("barrier", first.key, second.key, self.config.score.points, how)
                with self.run.stage(f"barrier {first.name} {second.name} {method}", key) as (stage, progress):
                    kept: dict[str, Any] | None = stage.load()
                    if kept is None:
                        end, ends = b, own
                        if method != "none":
                            if structure is None:
                                structure = structure_of(space, first_inputs(self.data["train"]), settings.structure)
                            found = align(
                                space, a, b, self.data["train"], settings, own, self.config.seed, structure=structure
                            )
                            assert found.statistics is not None  # as they were given
                            end, ends = found.vector, [own[0], found.statistics]
                        line, evaluator = Line(a, end), self._evaluator(space, ends)
                        scores = evaluator.score(line, self.config.score.points, progress=progress)
                        kept = {"distance": line.chord(), **barriers(scores), **evaluator.counts()}
                        stage.save(kept)
                row = {"a": first.name, "b": second.name, "method": method, **kept}
                self.run.results.add("barriers", pd.DataFrame([row]), group=group)

    def _score_path(self, pair: Pair, name: str) -> Scores:
        score, path = self.config.score, pair.paths[name]
        curve = path.curve
        t = curve.grid(score.points, *score.range) if isinstance(curve, Line) else curve.grid(score.points)
        evaluator = self._evaluator(pair.space, path.statistics, repair=path.repair)
        key = self._scoring_key(path.key, t.tolist())
        with self.run.stage(f"score {pair.plan.name}-{name}", key) as (stage, progress):
            return evaluator.score(curve, t, progress=progress, stage=stage)

    def _score_planes(self, pair: Pair, settings: Planes) -> None:
        examples, plan = self.examples(settings), pair.plan
        for name in settings.curves or [name for name, curve in pair.curves.items() if len(curve.bends)]:
            path = pair.paths[name]
            evaluator = self._evaluator(pair.space, path.statistics, examples=examples)
            plane = Plane.of(path.curve)
            grid = plane.grid(settings.points, settings.margin)
            key = self._scoring_key(path.key, grid.tolist(), examples)
            with self.run.stage(f"plane {plan.name}-{name}", key) as (stage, progress):
                scored = evaluator.score(plane, grid, progress=progress, stage=stage)
            t = path.curve.grid(self.config.score.points)
            self.run.results.add_plane(plan.name, name, plane, scored, pair.curves, t)

    def _compare_ends(self, pair: Pair, scored: dict[str, Scores]) -> None:
        """Warn where an end of a path scores differently with re-estimated BatchNorm than as it was trained."""
        if not pair.space.has_statistics or self.config.score.batch_norm not in ("reestimate", "training", "augmented"):
            return
        name, path = next(iter(pair.paths.items()))
        key = self._scoring_key("ends as trained", path.key)
        with self.run.stage(f"ends {pair.plan.name}", key) as (stage, _):
            kept: dict[str, Any] | None = stage.load()
            if kept is None:
                evaluator = self._evaluator(pair.space)
                ends = zip((path.curve.start, path.curve.end), path.statistics, strict=True)
                kept = {"ends": [evaluator.at(theta, statistics) for theta, statistics in ends]}
                stage.save(kept)
        table = scored[name].table.set_index("t")
        for side, t, own in zip("ab", (0.0, 1.0), kept["ends"], strict=True):
            for column in [column for column in own if f"{column}_se" in own]:
                if abs(table.loc[t, column] - own[column]) > 2 * own[f"{column}_se"]:
                    warnings.warn(
                        f"{pair.plan.name}-{side} with re-estimated BatchNorm has {column.replace('_', ' ')} "
                        f"{table.loc[t, column]:.4g}, but {own[column]:.4g} with the statistics it was trained with, "
                        "more than two standard errors apart; see batch_norm in [score].",
                        PathfinderWarning,
                        stacklevel=2,
                    )
                    break

    def _rescore(self, pair: Pair, scored: dict[str, Scores]) -> None:
        """Score the ends, and each path where it is worst, on all examples, unless that was done already."""
        first = next(iter(pair.paths))
        points = {"ends": [0.0, 1.0], **{name: peaks(scores.table) for name, scores in scored.items()}}
        for name, t in points.items():
            path = pair.paths[name if name in pair.paths else first]
            before, full = (
                self._evaluator(pair.space, path.statistics, repair=path.repair, examples=examples)
                for examples in (self.examples(), Examples(None, None))
            )
            if not t or before.counts() == full.counts():
                continue
            key = self._scoring_key("rescore", path.key, t)
            with self.run.stage(f"rescore {pair.plan.name}-{name}", key) as (stage, progress):
                at = torch.tensor(t, dtype=torch.float64)
                found = full.score(path.curve, at, progress=progress, stage=stage)
            self.run.results.add_rescored(pair.plan.name, name, found)

    def _measure_curvature(
        self, asked: Curvature, name: str, space: WeightSpace, geometry: Geometry, t: Tensor, key: str
    ) -> pd.DataFrame:
        """The curvature at the points t of a path, or of a surface; `name` is that of the pair or the minimum."""
        examples, seed = self.examples(asked), self.config.seed
        evaluator = self._evaluator(space, examples=examples)
        data = self.data["train"].subset(examples.scored, seed)
        settings = asked.model_dump(include={"tolerance", "most", "samples", "batch_size"})
        own = self._scoring_key("curvature", key, t.tolist(), examples, settings, *asked.restriction)
        with self.run.stage(f"curvature {name}-{asked.along}", own) as (stage, progress):
            table = curvature_table(
                space, geometry, t, data, progress=progress, stage=stage, device=self.config.device, seed=seed,
                statistics=evaluator.reestimate if evaluator.reestimates else None, parameters=asked.parameters,
                **settings,
            )  # fmt: skip
        return table.assign(examples=len(data), batch_norm_examples=evaluator.counts()["batch_norm_examples"])

    def _evaluator(
        self,
        space: WeightSpace,
        statistics: list[Tensor] | None = None,
        *,
        examples: Examples | None = None,
        repair: Repair | None = None,
        data: Mapping[str, Source] | None = None,
    ) -> Evaluator:
        """The evaluator that `[score]` describes, for all splits unless `data` are given."""
        score, counts = self.config.score, self.examples() if examples is None else examples
        interpolated = score.batch_norm == "interpolate"
        return Evaluator(
            space,
            self.data if data is None else data,
            batch_norm="reestimate" if interpolated and statistics is None else score.batch_norm,
            statistics=statistics,
            batch_norm_data=self.data["train"],
            repair=repair,
            batch_size=score.batch_size,
            examples=counts.scored,
            batch_norm_examples=counts.batch_norm,
            seed=self.config.seed,
            device=self.config.device,
            precision=self.config.precision,
        )

    def _scoring_key(self, *parts: Any) -> str:
        score = self.config.score.model_dump(exclude={"points", "line", "range", "rescore"})
        return self.key("score", self.config.seed, score, *parts)

    @cached_property
    def _held_out(self) -> dict[str, Source]:
        return {name: split for name, split in self.data.items() if name != "train"}

    @cached_property
    def _digests(self) -> dict[str, str]:
        return digests(self.data)
