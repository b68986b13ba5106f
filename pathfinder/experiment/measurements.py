"""Measurements: all that a run scores of its minima, and of the paths between them; each piece kept as it is done."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from pathfinder.experiment.plan import Plan
from pathfinder.geometry.base import Geometry
from pathfinder.geometry.curves import Curve, Line
from pathfinder.geometry.planes import Plane
from pathfinder.landscape.curvature import curvature_table
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.landscape.surfaces import build_landscape
from pathfinder.scoring.evaluator import Evaluator, means
from pathfinder.scoring.scores import Scores
from pathfinder.scoring.settings import Planes, Scoring
from pathfinder.storage.keys import code_of, key_of
from pathfinder.symmetry.matching import align, first_inputs, structure_of
from pathfinder.symmetry.repair import Repair
from pathfinder.symmetry.settings import Align
from pathfinder.tables.summary import barriers, peaks
from pathfinder.training.trajectory import trajectory_in
from pathfinder.weights.space import WeightSpace

_ALL = {"examples": None, "batch_norm_examples": None}


@dataclass(frozen=True)
class PairPath:
    """A path between two minima, with what it depends on."""

    curve: Curve
    statistics: list[Tensor]  # of BatchNorm, at the ends
    key: str
    epochs: int = 0  # it was trained for
    repair: Repair | None = None


@dataclass(frozen=True)
class Pair:
    """Two minima and the paths between them by name."""

    plan: Plan
    space: WeightSpace
    paths: dict[str, PairPath]

    @property
    def curves(self) -> dict[str, Curve]:
        """The geometry of each path."""
        return {name: path.curve for name, path in self.paths.items()}


@dataclass(frozen=True)
class Trained:
    """A minimum of a group, and what it depends on."""

    name: str
    module: nn.Module
    key: str


class Measurements:
    """Scores as a config asks, into the tables of a run.

    Args:
        config: what to score, and how.
        data: the splits.
        folder: the run, which saves each piece of work and holds the tables.
    """

    def __init__(self, config: Config, data: dict[str, Source], folder: Run) -> None:
        self.config, self.data, self.folder, self.results = config, data, folder, folder.results

    def key(self, *parts: Any) -> str:
        """What all work depends on."""
        data = {**self._fingerprints, "code": code_of(self.config.data.name)}
        return key_of(data, self.config.device, self.config.precision, *parts)

    def counts(self, settings: Scoring | Planes | Surface | Curvature) -> dict[str, int | None]:
        """How many examples are scored and re-estimate BatchNorm: as for the paths, unless set otherwise."""
        return {
            "examples": settings.examples or self.config.score.examples,
            "batch_norm_examples": settings.batch_norm_examples or self.config.score.batch_norm_examples,
        }

    def watched(self, module: nn.Module) -> Callable[[], dict[str, float]] | None:
        """The scores of a module in training, on all splits but `train`, and how many examples these are of."""
        space = WeightSpace(module)
        evaluator = self._evaluator(space, held_out=True)
        counts = evaluator and {**evaluator.counts(), "batch_norm_examples": 0}
        return evaluator and (lambda: {**means(evaluator.at(space.vector(module), space.statistics(module))), **counts})

    def watched_middle(self, curve: Curve, space: WeightSpace) -> Callable[[], dict[str, float]] | None:
        """Likewise of a curve in training, at t = 1/2."""
        evaluator, middle = self._evaluator(space, held_out=True), torch.tensor([0.5], dtype=torch.float64)
        return evaluator and (lambda: {**means(evaluator.at(curve(middle)[0])), **evaluator.counts()})

    def own_scores(self, name: str, key: str, module: nn.Module) -> dict[str, float]:
        """What a minimum scores on all examples with the running statistics it was trained with, and its norm."""
        own = self.key("own scores", self.config.score.batch_size, key)
        with self.folder.stage(f"minimum scores {name}", own) as (stage, _):
            if (kept := stage.load()) is None:
                space = WeightSpace(module)
                theta = space.vector(module)
                evaluator = self._evaluator(space, examples=None)
                scores = evaluator.at(theta, space.statistics(module))
                counts = {**evaluator.counts(), "batch_norm_examples": 0}
                kept = {"scores": {**means(scores), "norm": float(theta.double().norm())}, "counts": counts}
                stage.save(kept)
        return {**kept["scores"], **kept["counts"]}

    def around(self, plan: Plan, side: str, module: nn.Module, key: str) -> None:
        """The profiles and surfaces around a minimum, and the curvature over them."""
        name, space = f"{plan.name}-{side}", WeightSpace(module)
        surfaces = [settings for settings in self.config.surfaces if side in settings.minima]
        theta = space.vector(module)
        walked = trajectory_in(self.folder.path / "trajectories" / name if surfaces else None, space)
        for settings in surfaces:
            found = build_landscape(space, theta, settings, walked)
            counts = self.counts(settings)
            drawn = settings.model_dump(exclude={"minima", "points", "span", "name"})
            own = self._scoring_key("surface", key, drawn, found.t.tolist(), counts)
            with self.folder.stage(f"surface {name}-{settings.title}", own) as (stage, progress):
                evaluator = self._evaluator(space, **counts)
                scored = evaluator.score(found.geometry, found.t, progress=progress, stage=stage)
            self.results.add_surface(plan.name, name, settings.title, scored, found.trajectory)
            for asked in self.config.curvature:
                if asked.along == settings.title:
                    t = found.grid(asked.points)
                    at = _Place(plan.name, name, space, found.geometry, t, self.key("surface", key, drawn))
                    self._curvature(asked, at)

    def between(self, pair: Pair) -> None:
        """The paths of a pair, what is rescored of them, their planes, and the curvature along them."""
        scored = {name: self._path(pair, name) for name in pair.paths}
        epochs = {name: path.epochs for name, path in pair.paths.items()} if self.config.align else None
        self._compare_ends(pair, scored)
        self.results.add_paths(pair.plan.group, pair.plan.name, scored, epochs)
        if self.config.score.rescore:
            self._rescore(pair, scored)
        if self.config.planes is not None:
            self._planes(pair, self.config.planes)
        for asked in self.config.curvature:
            if asked.along in pair.paths:
                path = pair.paths[asked.along]
                at = _Place(pair.plan.name, "", pair.space, path.curve, path.curve.grid(asked.points), path.key)
                self._curvature(asked, at)

    def every_pair(self, group: str, minima: Sequence[Trained], settings: Align) -> None:
        """The barrier of the line between every two minima of a group, as they are and aligned."""
        structure = None  # found once: the networks of a group are alike
        for first, second in combinations(minima, 2):
            space = WeightSpace(first.module)
            a, b = space.vector(first.module), space.vector(second.module)
            own = [space.statistics(first.module), space.statistics(second.module)]
            for method in ("none", settings.method):
                how = {} if method == "none" else settings.matching
                key = self._scoring_key("barrier", first.key, second.key, self.config.score.points, how)
                with self.folder.stage(f"barrier {first.name} {second.name} {method}", key) as (stage, progress):
                    if (kept := stage.load()) is None:
                        end, ends = b, own
                        if method != "none":
                            if structure is None:
                                structure = structure_of(space, first_inputs(self.data["train"]), settings.structure)
                            found = align(
                                space, a, b, self.data["train"], settings, own, self.config.seed, structure=structure
                            )
                            end, ends = found.vector, [own[0], found.statistics]
                        line, evaluator = Line(a, end), self._evaluator(space, ends)
                        scores = evaluator.score(line, self.config.score.points, progress=progress)
                        kept = {"distance": line.chord(), **barriers(scores), **evaluator.counts()}
                        stage.save(kept)
                row = {"a": first.name, "b": second.name, "method": method, **kept}
                self.results.add("barriers", pd.DataFrame([row]), group=group)

    def _path(self, pair: Pair, name: str) -> Scores:
        score, path = self.config.score, pair.paths[name]
        reach = score.range if isinstance(path.curve, Line) else ()
        t = path.curve.grid(score.points, *reach)
        evaluator = self._evaluator(pair.space, path.statistics, repair=path.repair)
        key = self._scoring_key(path.key, t.tolist())
        with self.folder.stage(f"score {pair.plan.name}-{name}", key) as (stage, progress):
            return evaluator.score(path.curve, t, progress=progress, stage=stage)

    def _planes(self, pair: Pair, settings: Planes) -> None:
        counts, plan = self.counts(settings), pair.plan
        for name in settings.curves or [name for name, curve in pair.curves.items() if len(curve.bends)]:
            path = pair.paths[name]
            evaluator = self._evaluator(pair.space, path.statistics, **counts)
            plane = Plane.of(path.curve)
            grid = plane.grid(settings.points, settings.margin)
            key = self._scoring_key(path.key, grid.tolist(), counts)
            with self.folder.stage(f"plane {plan.name}-{name}", key) as (stage, progress):
                scored = evaluator.score(plane, grid, progress=progress, stage=stage)
            t = path.curve.grid(self.config.score.points)
            self.results.add_plane(plan.name, name, plane, scored, pair.curves, t)

    def _compare_ends(self, pair: Pair, scored: dict[str, Scores]) -> None:
        """Say where re-estimating BatchNorm makes an end of a path another network than the one that was trained."""
        if not pair.space.has_statistics or self.config.score.batch_norm not in ("reestimate", "training", "augmented"):
            return
        name, path = next(iter(pair.paths.items()))
        key = self._scoring_key("ends as trained", path.key)
        with self.folder.stage(f"ends {pair.plan.name}", key) as (stage, _):
            if (kept := stage.load()) is None:
                evaluator = self._evaluator(pair.space)
                ends = zip((path.curve.start, path.curve.end), path.statistics, strict=True)
                stage.save(kept := {"ends": [evaluator.at(theta, statistics) for theta, statistics in ends]})
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
        """The ends, and where each path is worst, on all examples, if not all were scored before."""
        first = next(iter(pair.paths))
        points = {"ends": [0.0, 1.0], **{name: peaks(scores.table) for name, scores in scored.items()}}
        for name, t in points.items():
            path = pair.paths[name if name in pair.paths else first]
            evaluator, full = (
                self._evaluator(pair.space, path.statistics, repair=path.repair, **counts) for counts in ({}, _ALL)
            )
            if not t or evaluator.counts() == full.counts():
                continue
            key = self._scoring_key("rescore", path.key, t)
            with self.folder.stage(f"rescore {pair.plan.name}-{name}", key) as (stage, progress):
                at = torch.tensor(t, dtype=torch.float64)
                found = full.score(path.curve, at, progress=progress, stage=stage)
            self.results.add_rescored(pair.plan.name, name, found)

    def _curvature(self, asked: Curvature, at: "_Place") -> None:
        counts, seed = self.counts(asked), self.config.seed
        evaluator = self._evaluator(at.space, **counts)
        data = self.data["train"].subset(counts["examples"], seed)
        settings = asked.model_dump(include={"tolerance", "most", "samples", "batch_size"})
        key = self._scoring_key("curvature", at.key, at.t.tolist(), counts, settings)
        with self.folder.stage(f"curvature {at.name or at.pair}-{asked.along}", key) as (stage, progress):
            table = curvature_table(
                at.space, at.geometry, at.t, data, progress=progress, stage=stage, device=self.config.device, seed=seed,
                statistics=evaluator.reestimate if evaluator.reestimates else None, **settings,
            )  # fmt: skip
        counted = {"examples": len(data), "batch_norm_examples": evaluator.counts()["batch_norm_examples"]}
        self.results.add_curvature(at.pair, at.name, asked.along, table.assign(**counted))

    def _evaluator(
        self,
        space: WeightSpace,
        statistics: list[Tensor] | None = None,
        held_out: bool = False,
        repair: Repair | None = None,
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
            repair=repair,
            batch_size=score.batch_size,
            seed=self.config.seed,
            device=self.config.device,
            precision=self.config.precision,
            **{"examples": score.examples, "batch_norm_examples": score.batch_norm_examples, **counts},
        )

    def _scoring_key(self, *parts: Any) -> str:
        score = self.config.score.model_dump(exclude={"points", "line", "range", "rescore"})
        return self.key("score", self.config.seed, score, *parts)

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return digests(self.data)


@dataclass(frozen=True)
class _Place:
    """Where curvature is measured: coordinates on a path of a pair, or on a surface around its minimum `name`."""

    pair: str
    name: str
    space: WeightSpace
    geometry: Geometry
    t: Tensor
    key: str
