"""Scores: what the Evaluator hands to the tables."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd


@dataclass
class Scores:
    """What `Evaluator.score` gives.

    Attributes:
        table: a row per point: coordinates, `norm`, `arc_length` for paths, then the mean of each metric on each split
            (`train_loss`, ...), its standard error over the examples (`train_loss_se`, ...) and how many examples
            were scored and re-estimated BatchNorm.
        per_example: for paths, (points, examples) by metric and split.
        length: of the path, in weight space; None for planes.
        chord: the distance between the path's ends; None for planes.
    """

    table: pd.DataFrame
    per_example: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    length: float | None = None
    chord: float | None = None

    @property
    def losses(self) -> dict[str, np.ndarray]:
        """The losses of every example, (points, examples) by split."""
        return {split: values for (metric, split), values in self.per_example.items() if metric == "loss"}
