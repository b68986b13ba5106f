"""Run a config: do the pieces of its plan, write tables and figures."""

import hashlib
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pathfinder.compute import find_device
from pathfinder.data.sources import Source
from pathfinder.errors import PathfinderError
from pathfinder.experiment.checks import Findings
from pathfinder.experiment.config import Config
from pathfinder.experiment.engines import Done, Engine, count_workers, make_engine, raise_failed
from pathfinder.experiment.estimate import Estimate, estimate
from pathfinder.experiment.folder import Run
from pathfinder.experiment.kept import kept_result
from pathfinder.experiment.opening import open_experiment
from pathfinder.experiment.pieces import Piece, scores_of
from pathfinder.experiment.plan import Plan
from pathfinder.experiment.progress import SharedProgress
from pathfinder.experiment.tabulate import Tabulation
from pathfinder.experiment.workplace import Workplace
from pathfinder.progress import Report, quiet
from pathfinder.storage import Checkpoint
from pathfinder.storage.keys import key_of
from pathfinder.tables.drawn import kinds_in, remove_others
from pathfinder.threads import threads


class Experiment:
    """The run of a config in a folder.

    Args:
        config: what to do.
        folder: where to write; it may hold an earlier, even interrupted run of the same name.
        report: gives the progress function of each piece of work by its name.
        fresh: whether nothing from an earlier run is used.
        force: whether an earlier run in the folder may be changed, and not only added to.
        checkpoints: checkpoints that were already read, by path; each is removed from here when it is used.
        show_ends: called with the rows of minima.csv of minima from checkpoints and the training data, before
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
        force: bool = False,
        checkpoints: dict[str, Checkpoint] | None = None,
        show_ends: Callable[[pd.DataFrame, Source], None] = lambda minima, train: None,
    ) -> None:
        self.config, self._report, self._show_ends = config, report, show_ends
        self._fresh, self._force = fresh, force
        find_device(config.device)  # fail before anything is written
        self.folder = Run(folder, config.name, fresh)
        self.place = Workplace(config, self.folder.path)
        self.plan = Plan(config, open_experiment(self.place, {} if checkpoints is None else checkpoints))
        self._done: set[str] = set()
        self._new = False  # whether anything was done that was not kept
        self._tables = Tabulation(self.plan, self.place, self.folder.results, self._done)
        self._findings = Findings(self.folder, config.score_precision, self.place.data["train"])

    def estimate(self) -> Estimate:
        """How long what is missing takes, from a timed step and a timed point of each network."""
        return estimate(self.plan.pieces.values(), self.place, self._fresh)

    def run(
        self, workers: int | Literal["auto"] = 1, scheduler: str | None = None, dashboard: bool = False
    ) -> pd.DataFrame | None:
        """Do what is missing, write tables and figures, and return the summary; None if there are no pairs.

        Args:
            workers: how many processes do the pieces; the tables have the same bytes for any number. `auto` takes as
                many as serve, one if all is done in a minute.
            scheduler: the address of a Dask scheduler whose workers do them instead; they share the folder.
            dashboard: whether Dask shows its workers in a browser.

        Raises:
            PathfinderError: if bfloat16 and float32 disagree, at the worst point of a path once everything is written;
                or if a piece failed, once all that do not need it are done.
        """
        count = count_workers(
            workers, scheduler, self.config.device, max(self.plan.threads), lambda: self.estimate().serving
        )
        return self.run_with(make_engine(self.place, count, scheduler, dashboard))

    def run_with(self, engine: Engine) -> pd.DataFrame | None:
        """The same with an engine that was not entered yet."""
        self._describe()
        pieces = list(self.plan.pieces.values())
        self.folder.check_changes(pieces, self._force)
        self.folder.draw = lambda folder: self.draw(engine)
        with engine, self.folder:
            failed = engine.run(pieces, SharedProgress(self._report, pieces), self._finish)
            with threads(1):
                self._tables.finish()
        if self._findings.wrong:
            raise PathfinderError(self._findings.wrong[0])
        raise_failed(failed, len(pieces) - len(self._done))
        return self.folder.results.table("summary") if self.place.pairs else None

    def draw(self, engine: Engine) -> None:
        """Draw the figures of the tables that were written: a piece of work for each kind."""
        folder = self.folder.path
        tables = [hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.glob("*.csv"))]
        one = min(self.plan.threads)
        pieces = [
            Piece(f"figures {kind}", "draw_figures", (kind,), key_of(kind, tables), threads=one)
            for kind in kinds_in(folder)
        ]
        failed = engine.run(pieces, SharedProgress(quiet, pieces), self.folder.note)
        raise_failed(failed, len(failed))
        names = [name for piece in pieces for name in kept_result(folder, piece.name)["drawn"]]
        remove_others(folder, [folder / "figures" / name for name in names])

    def _finish(self, done: Done) -> None:
        """Note that a piece was done, look at what it found, and write the tables once a pair is complete."""
        piece = done.piece
        self._new |= not done.kept
        self.folder.note(done)
        self._done.add(piece.name)
        self._findings.look(piece)
        if piece.work == "score_minimum":
            for names in self._given:
                if piece.name in set(map(scores_of, names)) <= self._done:
                    minima = pd.concat([self._tables.minimum(name, name) for name in names], ignore_index=True)
                    self._show_ends(minima, self.place.data["train"])
        with threads(1):  # lengths are sums, whose last bits depend on it
            if self._tables.advance() and self._new:
                self.folder.results.write()

    @cached_property
    def _given(self) -> list[list[str]]:
        """The minima from checkpoints that are compared with each other: the ends of a pair, or those of every pair."""
        pairs = [list(pair.ends) for pair in self.place.pairs.values() if pair.a.checkpoint and pair.b.checkpoint]
        singles = [one.title for one in self.config.singles() if one.checkpoint]
        return pairs + [singles] * bool(self.config.align and self.config.align.every_pair)

    def _describe(self) -> None:
        """Set what the record says of the run."""
        measured: dict[str, Any] = {"scored": self.config.score.model_dump()}
        for name in ("surfaces", "curvature"):
            asked = [settings.model_dump() for settings in getattr(self.config, name)]
            measured |= {name: asked} if asked else {}
        self.folder.describe(
            self.config.device,
            self.place.data,
            sorted(self.plan.threads),
            seed=self.config.seed,
            config=self.config.model_dump(exclude_unset=True),
            **measured,
        )
