"""The tables of an experiment, from the results of its pieces; in the order of the config, whatever was done first."""

from collections.abc import Set
from typing import Any

import pandas as pd

from pathfinder.experiment.gather import gather_measured, gather_scores
from pathfinder.experiment.kept import kept_result
from pathfinder.experiment.pairs import ALIGNED, Pair, is_straight
from pathfinder.experiment.pieces import Target, scores_of
from pathfinder.experiment.plan import Plan
from pathfinder.experiment.rescoring import gather_rescored
from pathfinder.experiment.workplace import Workplace
from pathfinder.geometry.planes import Plane
from pathfinder.landscape.settings import chosen_to
from pathfinder.scoring.scores import Scores
from pathfinder.tables.race import Entry, method_table, race_table
from pathfinder.tables.results import PROJECTED, Results
from pathfinder.training.settings import Race


class Tabulation:
    """Fills the tables of an experiment, in the order of its config.

    Args:
        plan: its pieces.
        place: gives their geometries.
        results: the tables.
        done: the names of the pieces that were done so far.
    """

    def __init__(self, plan: Plan, place: Workplace, results: Results, done: Set[str]) -> None:
        self._plan, self._place, self._done = plan, place, done
        self._config, self.results = place.config, results
        self._left = list(plan.owned)

    def advance(self) -> bool:
        """Add the next minima and pairs, up to the first that is not done whole; returns whether there are any."""
        before = len(self._left)
        while self._left and self._plan.owned[self._left[0]] <= self._done:
            self._add(self._left.pop(0))
        return len(self._left) < before

    def finish(self) -> None:
        """Add all that was done of the others; what needs more is left out."""
        while self._left:
            self._add(self._left.pop(0))
        self._add_barriers()
        if self._config.race is not None and "summary" in self.results and "training" in self.results:
            self._add_race(self._config.race)

    def _add(self, owner: str) -> None:
        """Add a single minimum, or a pair."""
        pair = self._place.pairs.get(owner)
        if pair is None:
            self._add_minimum(owner, owner, "a")
            return
        for side, name in zip("ab", pair.ends, strict=True):
            self._add_minimum(pair.name, name, side)
        self._add_alignment(pair)
        self._add_between(pair)

    def minimum(self, pair: str, name: str) -> pd.DataFrame:
        """The row of a minimum that was scored."""
        own = self._place.own(name)
        settings = self._place.minima[own]
        row: dict[str, Any] = {"pair": pair, "model": self._place.network(own).name}
        if name != own:
            row["aligned"] = self._config.align and self._config.align.method
        elif settings.checkpoint is not None:
            row["checkpoint"] = settings.checkpoint
        else:
            row |= {"checkpoint": "", **settings.arguments, "init_seed": settings.init_seed}
        return pd.DataFrame([{**row, **self._result(scores_of(name))["row"]}]).assign(name=name)

    def _add_minimum(self, pair: str, name: str, side: str) -> None:
        training = self._plan.training.get(name, "")
        if training in self._done:
            history = self._result(training)["history"]
            self.results.add_training(pair, side, pd.DataFrame(history))
        scored = scores_of(name)
        if scored in self._done:
            self.results.add("minima", self.minimum(pair, name))
            self.results.add("weights", pd.DataFrame(self._result(scored)["weights"]), pair=pair, name=name)
        for surface in self._config.surfaces:
            target = ("surface", name, surface.title)
            if parts := self._parts(f"surface {name}-{surface.title}"):
                scores = gather_scores(self._place, target, parts, chosen_to(surface))
                trajectory = self._place.landscape(name, surface.title).trajectory
                self.results.add_surface(pair, name, surface.title, scores, trajectory)
            self._add_curvature(pair, name, name, target)

    def _add_alignment(self, pair: Pair) -> None:
        name = pair.aligned
        if scores_of(name) in self._done:
            self.results.add("minima", self.minimum(pair.name, name))
            row, align = self._result(f"align {pair.name}")["row"], self._config.align
            self.results.add("alignment", pd.DataFrame([row]), pair=pair.name, method=align.method if align else "")

    def _add_between(self, pair: Pair) -> None:
        names = self._plan.paths[pair.name]
        for name in names:
            if f"curve {pair.name}-{name}" in self._done:
                history = self._result(f"curve {pair.name}-{name}").get("history")
                if history is not None:
                    self.results.add_training(pair.name, name, pd.DataFrame(history))
        parts = {name: found for name in names if (found := self._parts(f"score {pair.name}-{name}"))}
        if not parts:
            return
        targets: dict[str, Target] = {name: ("path", pair.name, name) for name in parts}
        scored = {name: gather_scores(self._place, targets[name], found) for name, found in parts.items()}
        epochs = {curve.title: curve.epochs for curve in pair.curves}
        trained = {name: epochs.get(name.removeprefix(ALIGNED), 0) for name in parts}
        rescored = {name: self._rescored(pair.name, target, scored[name]) for name, target in targets.items()}
        whole = {name: found for name, found in rescored.items() if found is not None}
        for name, found in whole.items():
            self.results.add_rescored(pair.name, name, found)
        follow = whole if self._config.score.examples == "auto" else {}
        self.results.add_paths(pair.group, pair.name, scored, follow, trained if self._config.align else None)
        curves = {name: self._place.path(pair.name, name) for name in parts}
        planes = self._config.planes
        named = planes.curves if planes is not None and planes.curves else list(curves)
        for name in named:
            if planes is not None and (found := self._parts(f"plane {pair.name}-{name}")):
                scores = gather_scores(self._place, ("plane", pair.name, name), found, chosen_to(planes))
                points = self._config.score.points
                t = curves[name].grid(points if isinstance(points, int) else PROJECTED)
                self.results.add_plane(pair.name, name, Plane.of(curves[name]), scores, curves, t)
        for asked in self._config.curvature:
            if asked.along in targets:
                self._add_curvature(pair.name, "", pair.name, targets[asked.along])

    def _rescored(self, pair: str, target: Target, some: Scores) -> Scores | None:
        """The points of a path that were scored on all examples, if that was done."""
        piece = f"rescore {pair}-{target[-1]}"
        return gather_rescored(self._place, target, some, piece) if piece in self._done else None

    def _add_curvature(self, pair: str, name: str, owner: str, target: Target) -> None:
        along = target[-1]
        if parts := self._parts(f"curvature {owner}-{along}"):
            self.results.add_curvature(pair, name, along, gather_measured(self._place, target, parts))

    def _add_barriers(self) -> None:
        for piece in self._plan.pieces.values():
            if piece.work == "measure_barrier" and piece.name in self._done:
                first, second, method = piece.arguments
                row = {"a": first, "b": second, "method": method, **self._result(piece.name)}
                self.results.add("barriers", pd.DataFrame([row]), group=self._place.group_of(first))

    def _add_race(self, race: Race) -> None:
        """The tables of a race, if its reference is there; paths whose training diverged are left out."""
        summary, train = self.results.table("summary"), self._place.data["train"]
        steps = self.results.table("training").groupby(["pair", "fit"])["step"].max()
        scored = {*zip(summary["pair"], summary["path"], strict=True)}
        entries = []
        for pair in self._place.pairs.values():
            for path in self._plan.paths[pair.name]:
                if (pair.name, path) not in scored:
                    continue
                if is_straight(path):
                    entries.append(Entry(pair.name, path, path, 0, 0, 0.0))
                    continue
                curve, done = self._place.curve_settings(pair.name, path), int(steps.get((pair.name, path), 0))
                has_statistics = self._place.ends(pair.name, False).space.has_statistics
                passes = curve.passes * done / train.steps(curve.batch_size)
                if curve.until is not None:
                    passes += curve.until.passes(done, len(train), has_statistics)
                if curve.start == "repair" and not has_statistics:  # passes through both ends and each bend
                    repaired = min(self._config.examples().batch_norm or len(train), len(train))
                    passes += (2 + curve.bends) / 3 * repaired / len(train)
                method = (path.removeprefix(ALIGNED) if curve.aligned else path).removesuffix(f"-{curve.epochs}")
                entries.append(Entry(pair.name, path, method, curve.epochs, done, passes))
        if all(entry.method != race.reference for entry in entries):
            return
        points = self.results.table("paths")
        if self._config.score.examples == "auto" and "rescored" in self.results:
            points = pd.concat([self.results.table("rescored"), points]).drop_duplicates(["pair", "path", "t"])
        rows = race_table(entries, summary, points, race.reference, len(train))
        self.results.add("race", rows)
        self.results.add("race_methods", method_table(rows, race.reference))

    def _parts(self, whole: str) -> tuple[str, ...]:
        """The pieces of a work, if all were done."""
        parts = self._plan.parts(whole)
        return parts if all(part in self._done for part in parts) else ()

    def _result(self, name: str) -> dict[str, Any]:
        return kept_result(self._place.folder, name)
