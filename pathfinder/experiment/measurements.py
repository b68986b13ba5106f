"""Score the minima of an experiment and the paths between them; each piece is saved when it is done."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import combinations
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from pathfinder.data.sources import Source
from pathfinder.experiment.checks import Checks, Maker
from pathfinder.experiment.config import Config
from pathfinder.experiment.evaluators import Evaluators, Examples
from pathfinder.experiment.folder import Run
from pathfinder.experiment.pairs import Pair, Trained
from pathfinder.experiment.plan import ALIGNED
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve, Line
from pathfinder.geometry.planes import Plane
from pathfinder.landscape.curvature import curvature_table
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.landscape.surfaces import build_landscape
from pathfinder.scoring.batch_norm import BatchNormName
from pathfinder.scoring.checks import Difference, compare
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.scores import Scores, means
from pathfinder.scoring.settings import Planes
from pathfinder.symmetry.matching import align, first_inputs, structure_of
from pathfinder.symmetry.settings import Align
from pathfinder.tables.score_names import score_column
from pathfinder.tables.summary import barriers, peaks
from pathfinder.training.loop import Monitor
from pathfinder.training.trajectory import trajectory_in
from pathfinder.weights.space import WeightSpace


class Measurements:
    """Scores minima and paths as a config says, and adds them to the tables of a run.

    Args:
        config: what to score, and how.
        data: the splits.
        run: saves each piece of work and holds the tables.
    """

    def __init__(self, config: Config, data: dict[str, Source], run: Run) -> None:
        self.config, self.data, self.run = config, data, run
        self.evaluators = Evaluators(config, data)
        self.checks = Checks(run, self.evaluators.precision, config.precision_check)

    def monitor_minimum(self, module: nn.Module) -> Monitor | None:
        """What `fit_minimum` calls to score a module on all splits but `train`; None if there are no others."""
        if not self.evaluators.held_out:
            return None
        space = WeightSpace(module)
        evaluator = self.evaluators.make(space, data=self.evaluators.held_out, batch_norm="stored")
        counts = {**evaluator.counts(), "batch_norm_examples": 0}
        return lambda: {**means(evaluator.at(space.vector(module), space.statistics(module))), **counts}

    def monitor_curve(self, curve: Curve, space: WeightSpace) -> Monitor | None:
        """What `fit_curve` calls to score the middle of a curve on all splits but `train`; None without others."""
        if not self.evaluators.held_out:
            return None
        how, middle = self.evaluators.at_points(), torch.tensor([0.5], dtype=torch.float64)
        evaluator = self.evaluators.make(space, data=self.evaluators.held_out, batch_norm=how)
        return lambda: {**means(evaluator.at(curve(middle)[0])), **evaluator.counts()}

    def score_minimum(self, minimum: Trained, in_path: bool) -> dict[str, Any]:
        """Score a minimum on all examples, for its row of minima.csv.

        Args:
            minimum: which.
            in_path: whether paths end in it: it is then scored with the statistics of BatchNorm that are stored with
                it and as along these paths, and the two are compared.
        """
        space = WeightSpace(minimum.module)
        theta, statistics = space.vector(minimum.module), space.statistics(minimum.module)
        few = self.evaluators.examples().few()
        make = partial(self._make, space, batch_norm="stored", examples=few)
        self.checks.minimum(
            minimum.name, self.evaluators.scoring_key("own scores", minimum.key), make, theta, statistics
        )
        both = in_path and space.has_statistics and self.config.score.batch_norm in ("training", "reestimate")
        key = self.evaluators.scoring_key("own scores", minimum.key, both)
        with self.run.stage(f"minimum scores {minimum.name}", key) as (stage, _):
            kept: dict[str, Any] | None = stage.load()
            if kept is None:
                evaluator = self.evaluators.make(
                    space,
                    batch_norm=None if both else "stored",
                    examples=replace(self.evaluators.examples(), scored=None),
                )
                stored = evaluator.values(theta, statistics)
                row: dict[str, Any] = {**means(evaluator.row(stored)), "norm": float(theta.double().norm())}
                row |= {**evaluator.counts(), "batch_norm": evaluator.statistics_from}
                kept = {"row": row, "differences": []}
                if both:
                    found = compare(stored, evaluator.values(theta))
                    kept["differences"] = [vars(one) for one in found]
                    row |= {score_column(one.split, one.metric, "reestimated"): one.found for one in found}
                stage.save(kept)
        if both:
            differences = [Difference(**one) for one in kept["differences"]]
            self.checks.statistics(minimum.name, differences, kept["row"]["batch_norm"], self.data["train"])
        return kept["row"]

    def score_around(self, pair: str, minimum: Trained, surfaces: Sequence[Surface]) -> None:
        """Score profiles and surfaces around a minimum of a pair, and measure the curvature over them."""
        if not surfaces:
            return
        name, space = minimum.name, WeightSpace(minimum.module)
        theta = space.vector(minimum.module)
        trajectory = trajectory_in(self.run.path / "trajectories" / name, space)
        for settings in surfaces:
            found = build_landscape(space, theta, settings, trajectory)
            examples = self.evaluators.examples(settings)
            drawn = settings.model_dump(exclude={"minima", "points", "span", "name"})
            key = self.evaluators.scoring_key("surface", minimum.key, drawn, found.t.tolist(), examples)
            data = {split: self.data[split] for split in settings.splits or self.data}
            with self.run.stage(f"surface {name}-{settings.title}", key) as (stage, progress):
                evaluator = self.evaluators.make(space, batch_norm=settings.batch_norm, examples=examples, data=data)
                scored = evaluator.score(found.geometry, found.t, progress=progress, stage=stage)
            self.run.results.add_surface(pair, name, settings.title, scored, found.trajectory)
            for asked in self.config.curvature:
                if asked.along == settings.title:
                    t, key = found.grid(asked.points), self.evaluators.key("surface", minimum.key, drawn)
                    how = asked.batch_norm or settings.batch_norm
                    table = self._measure_curvature(asked, how, name, space, found.geometry, t, key)
                    self.run.results.add_curvature(pair, name, asked.along, table)

    def score_between(self, pair: Pair) -> None:
        """Score the paths of a pair, some points once more, and their planes; measure the curvature along them."""
        for first in {name.startswith(ALIGNED): name for name in reversed(pair.paths)}.values():
            path = pair.paths[first]
            key = self.evaluators.scoring_key("ends", path.key)
            self.checks.before(f"{pair.plan.name}-{first}", key, self._few(pair, first), path.curve)
        scored = {name: self._score_path(pair, name) for name in pair.paths}
        for name, scores in scored.items():
            path, key = pair.paths[name], self.evaluators.scoring_key("worst", pair.paths[name].key)
            self.checks.worst(f"{pair.plan.name}-{name}", key, self._few(pair, name), path.curve, scores)
        epochs = {name: path.epochs for name, path in pair.paths.items()} if self.config.align else None
        self.run.results.add_paths(pair.plan.group, pair.plan.name, scored, epochs)
        if self.config.score.rescore:
            self._rescore(pair, scored)
        if self.config.planes is not None:
            self._score_planes(pair, self.config.planes)
        for asked in self.config.curvature:
            if asked.along in pair.paths:
                assert isinstance(asked.points, int)  # the config has checked it
                path = pair.paths[asked.along]
                t, how = path.curve.grid(asked.points), asked.batch_norm or self.evaluators.at_points()
                table = self._measure_curvature(asked, how, pair.plan.name, pair.space, path.curve, t, path.key)
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
                key = self.evaluators.scoring_key("barrier", first.key, second.key, self.config.score.points, how)
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
                        line, evaluator = Line(a, end), self.evaluators.make(space, ends)
                        scores = evaluator.score(line, self.config.score.points, progress=progress)
                        kept = {"distance": line.chord(), **barriers(scores), **evaluator.counts()}
                        kept["batch_norm"] = evaluator.statistics_from
                        stage.save(kept)
                row = {"a": first.name, "b": second.name, "method": method, **kept}
                self.run.results.add("barriers", pd.DataFrame([row]), group=group)

    def _score_path(self, pair: Pair, name: str) -> Scores:
        score, path = self.config.score, pair.paths[name]
        curve = path.curve
        t = curve.grid(score.points, *score.range) if isinstance(curve, Line) else curve.grid(score.points)
        evaluator = self.evaluators.make(pair.space, path.statistics, repair=path.repair)
        key = self.evaluators.scoring_key(path.key, t.tolist())
        with self.run.stage(f"score {pair.plan.name}-{name}", key) as (stage, progress):
            return evaluator.score(curve, t, progress=progress, stage=stage)

    def _score_planes(self, pair: Pair, settings: Planes) -> None:
        examples, plan = self.evaluators.examples(settings), pair.plan
        for name in settings.curves or [name for name, curve in pair.curves.items() if len(curve.bends)]:
            path = pair.paths[name]
            evaluator = self.evaluators.make(pair.space, path.statistics, examples=examples)
            plane = Plane.of(path.curve)
            grid = plane.grid(settings.points, settings.margin)
            key = self.evaluators.scoring_key(path.key, grid.tolist(), examples)
            with self.run.stage(f"plane {plan.name}-{name}", key) as (stage, progress):
                scored = evaluator.score(plane, grid, progress=progress, stage=stage)
            t = path.curve.grid(self.config.score.points)
            self.run.results.add_plane(plan.name, name, plane, scored, pair.curves, t)

    def _few(self, pair: Pair, name: str) -> Maker:
        """Makes evaluators of a few examples of a path."""
        path, few = pair.paths[name], self.evaluators.examples().few()
        return partial(self._make, pair.space, path.statistics, repair=path.repair, examples=few)

    def _make(self, *given: Any, precision: str, **named: Any) -> Evaluator:
        return self.evaluators.make(*given, precision=precision, **named)

    def _rescore(self, pair: Pair, scored: dict[str, Scores]) -> None:
        """Score the ends, and each path where it is worst, on all examples, unless that was done already."""
        first = next(iter(pair.paths))
        points = {"ends": [0.0, 1.0], **{name: peaks(scores.table) for name, scores in scored.items()}}
        for name, t in points.items():
            path = pair.paths[name if name in pair.paths else first]
            before, full = (
                self.evaluators.make(pair.space, path.statistics, repair=path.repair, examples=examples)
                for examples in (self.evaluators.examples(), Examples(None, None))
            )
            if not t or before.counts() == full.counts():
                continue
            key = self.evaluators.scoring_key("rescore", path.key, t)
            with self.run.stage(f"rescore {pair.plan.name}-{name}", key) as (stage, progress):
                at = torch.tensor(t, dtype=torch.float64)
                found = full.score(path.curve, at, progress=progress, stage=stage)
            self.run.results.add_rescored(pair.plan.name, name, found)

    def _measure_curvature(
        self,
        asked: Curvature,
        how: BatchNormName,
        name: str,
        space: WeightSpace,
        geometry: Geometry,
        t: Tensor,
        key: str,
    ) -> pd.DataFrame:
        """The curvature at the points t of a path, or of a surface; `name` is that of the pair or the minimum."""
        examples, seed = self.evaluators.examples(asked), self.config.seed
        evaluator = self.evaluators.make(space, batch_norm=how, examples=examples)
        data = self.data["train"].subset(examples.scored, seed)
        settings = asked.model_dump(include={"tolerance", "most", "samples", "batch_size", "parameters"})
        own = self.evaluators.scoring_key("curvature", key, t.tolist(), examples, settings, how)
        with self.run.stage(f"curvature {name}-{asked.along}", own) as (stage, progress):
            table = curvature_table(
                space, geometry, t, data, progress=progress, stage=stage, device=self.config.device, seed=seed,
                statistics=evaluator.reestimate if evaluator.reestimates else None, **settings,
            )  # fmt: skip
        return table.assign(
            examples=len(data),
            batch_norm_examples=evaluator.counts()["batch_norm_examples"],
            batch_norm=evaluator.statistics_from,
        )
