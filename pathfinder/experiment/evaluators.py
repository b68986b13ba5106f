"""The evaluators that a config describes."""

from collections.abc import Mapping
from functools import cached_property

from torch import Tensor

from pathfinder.data.sources import Source
from pathfinder.experiment.config import Config
from pathfinder.scoring.batch_norm import BatchNormName
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.scoring.settings import Examples
from pathfinder.symmetry.repair import Repair
from pathfinder.weights.space import WeightSpace


class Evaluators:
    """Makes evaluators as a config says.

    Args:
        config: how to score.
        data: the splits.
    """

    def __init__(self, config: Config, data: dict[str, Source]) -> None:
        self._config, self._data = config, data

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
        score, counts = self._config.score, self._config.examples() if examples is None else examples
        return Evaluator(
            space,
            self._data if data is None else data,
            batch_norm=score.batch_norm if batch_norm is None else batch_norm,
            statistics=statistics,
            batch_norm_data=self._data["train"],
            repair=repair,
            batch_size=score.batch_size,
            examples=counts.scored,
            batch_norm_examples=counts.batch_norm,
            seed=self._config.seed,
            device=self._config.device,
            precision=precision or self._config.score_precision,
        )

    @cached_property
    def held_out(self) -> dict[str, Source]:
        """All splits but `train`."""
        return {name: split for name, split in self._data.items() if name != "train"}
