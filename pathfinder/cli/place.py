"""Where the pieces of `score` and `curvature` are done: what files and options give, in each process."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pathfinder.cli.inputs import CurveInput, Minima
from pathfinder.cli.options import CurvatureJob, PointJob, ScoreJob
from pathfinder.cli.targets import PathTarget, Target
from pathfinder.data.sources import digests
from pathfinder.experiment.kept import chosen_examples
from pathfinder.experiment.place import Measured, Scored, check_code, check_inputs
from pathfinder.landscape.settings import Curvature
from pathfinder.scoring.batch_norm import BatchNormName, Policy
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.settings import Examples, Scoring
from pathfinder.storage.keys import key_of

Opened = Minima | CurveInput
Options = ScoreJob | CurvatureJob | PointJob
Opening = Callable[[], tuple[Opened, Target]]  # reads the files of a command; another process can call it too


class FilePlace:
    """The place of the pieces of a command: what its files and options give.

    Args:
        opening: reads the files.
        job: the options.
        scoring: how points are scored.
        policies: how BatchNorm's statistics are found, by the name of a target.
        folder: of the run.
        curvature: how it is measured.
        inputs: a key of the weights, the data and the code that the pieces are made for; as found here if not given.

    Attributes:
        inputs: the key.

    Raises:
        PathfinderError: if others are found here.
    """

    def __init__(
        self,
        opening: Opening,
        job: Options,
        scoring: Scoring,
        policies: Mapping[str, Policy | BatchNormName],
        folder: Path,
        curvature: Curvature | None = None,
        inputs: str | None = None,
    ) -> None:
        self._arguments = opening, job, scoring, policies, folder.absolute(), curvature
        self.folder, self.job, self._curvature, self.policies = folder, job, curvature, policies
        self._scoring = scoring
        self.device = job.device
        self.opened, self.target = opening()
        train = self.opened.data["train"]
        self.inputs = key_of(self.opened.identity, digests(self.opened.data), train.crop, train.flip)
        if inputs is not None:
            check_inputs(self.inputs, inputs)
            check_code((self.opened.network.name, self.opened.dataset))
        self._evaluator = lru_cache(4)(self._make)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the files itself."""
        return type(self), (*self._arguments, self.inputs)

    def given(self, target: tuple[str, ...]) -> Examples:
        """As for `Place`; a target is the name of a policy."""
        return self._scoring.given_examples

    def examples(self, target: tuple[str, ...]) -> Examples:
        """As for `Place`."""
        return self.given(target).of(chosen_examples(self.folder, target[0], self._scoring.chosen_examples))

    def scored(self, target: tuple[str, ...], examples: Examples | None = None, precision: str | None = None) -> Scored:
        """As for `Place`."""
        counts = self.examples(target) if examples is None else examples
        return Scored(self._evaluator(target[0], counts, precision), self.target.geometry, self.target.t)

    def measured(self, target: tuple[str, ...]) -> Measured:
        """As for `Place`."""
        assert self._curvature is not None
        data = self.opened.data["train"].subset(self._curvature.examples, self.job.seed)
        evaluator = self._evaluator(target[0], replace(self.given(target), scored=None), "fp32")
        return Measured(self.opened.space, self.target.geometry, self.target.t, data, evaluator, self._curvature)

    def _make(self, how: str, counts: Examples, precision: str | None) -> Evaluator:
        job, opened = self.job, self.opened
        along = isinstance(self.target, PathTarget) and not isinstance(job, CurvatureJob)
        return Evaluator(
            opened.space,
            opened.data,
            batch_norm=self.policies[how],
            statistics=opened.statistics if along else None,
            examples=counts.scored,
            batch_norm_examples=None if isinstance(job, PointJob) else counts.batch_norm,  # its policies know theirs
            batch_size=job.batch_size,
            seed=job.seed,
            device=job.device,
            precision=precision or ("fp32" if isinstance(job, CurvatureJob) else job.precision),
        )
