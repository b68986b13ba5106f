"""The evaluators that a config describes, and the keys of work that depends on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from pathfinder.data.sources import Source, digests
from pathfinder.experiment.config import Config
from pathfinder.landscape.settings import Curvature, Surface
from pathfinder.scoring.batch_norm import BatchNormName
from pathfinder.scoring.checks import CHECKED
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.settings import Planes, Scoring
from pathfinder.storage.keys import code_of, key_of
from pathfinder.symmetry.repair import Repair
from pathfinder.weights.space import WeightSpace


@dataclass(frozen=True)
class Examples:
    """How many examples of each split are scored, and how many re-estimate BatchNorm; None for all."""

    scored: int | None
    batch_norm: int | None

    def few(self) -> "Examples":
        """As many as are enough to compare two precisions."""
        return Examples(
            *(CHECKED if count is None else min(count, CHECKED) for count in (self.scored, self.batch_norm))
        )


class Evaluators:
    """Makes evaluators as a config says.

    Args:
        config: how to score.
        data: the splits.

    Attributes:
        data: the splits.
        precision: in which points are scored.
    """

    def __init__(self, config: Config, data: dict[str, Source]) -> None:
        self._config, self.data = config, data
        self.precision = config.score.precision or config.precision

    def examples(self, settings: Scoring | Planes | Surface | Curvature | None = None) -> Examples:
        """The examples that a table of the config asks for; `[score]` says what it leaves out."""
        score = self._config.score
        asked = score if settings is None else settings
        return Examples(asked.examples or score.examples, asked.batch_norm_examples or score.batch_norm_examples)

    def make(
        self,
        space: WeightSpace,
        statistics: list[Tensor] | None = None,
        *,
        batch_norm: BatchNormName | None = None,
        examples: Examples | None = None,
        repair: Repair | None = None,
        data: Mapping[str, Source] | None = None,
        precision: str | None = None,
    ) -> Evaluator:
        """An evaluator as `[score]` describes it, but for what is given.

        Args:
            space: the weight space.
            statistics: of BatchNorm at the ends of a path.
            batch_norm: how statistics are found.
            examples: how many are used.
            repair: for networks without BatchNorm.
            data: the splits to score; all if not given.
            precision: of the scores.
        """
        score, counts = self._config.score, self.examples() if examples is None else examples
        return Evaluator(
            space,
            self.data if data is None else data,
            batch_norm=score.batch_norm if batch_norm is None else batch_norm,
            statistics=statistics,
            batch_norm_data=self.data["train"],
            repair=repair,
            batch_size=score.batch_size,
            examples=counts.scored,
            batch_norm_examples=counts.batch_norm,
            seed=self._config.seed,
            device=self._config.device,
            precision=precision or self.precision,
        )

    def at_points(self) -> BatchNormName:
        """How statistics are found where a point is no point of a path: mixing them has no meaning there."""
        asked = self._config.score.batch_norm
        return "training" if asked in ("interpolate", "stored") else asked

    def key(self, *parts: Any) -> str:
        """The key of a piece of work that depends on these parts; all work depends on data, device and precision."""
        data = {**self._digests, "code": code_of(self._config.data.name)}
        return key_of(data, self._config.device, self._config.precision, *parts)

    def fit_key(self, *parts: Any) -> str:
        """The key of a training."""
        return self.key(*parts, self.data["train"].crop, self.data["train"].flip)

    def scoring_key(self, *parts: Any) -> str:
        """The key of a piece of scoring."""
        score = self._config.score.model_dump(exclude={"points", "line", "range", "rescore"})
        return self.key("score", self._config.seed, score, *parts)

    @cached_property
    def held_out(self) -> dict[str, Source]:
        """All splits but `train`."""
        return {name: split for name, split in self.data.items() if name != "train"}

    @cached_property
    def _digests(self) -> dict[str, str]:
        return digests(self.data)
