"""Look while a curve is trained whether it is flat enough."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from pathfinder.geometry.curves import Curve
from pathfinder.scoring.evaluator import Evaluator
from pathfinder.training.recipe import Until


class Goal:
    """Says how far the training of a curve is from its end.

    Args:
        until: what is wanted.
        curve: that is trained.
        evaluator: scores the subset, as the split `train`.
    """

    def __init__(self, until: Until, curve: Curve, evaluator: Evaluator) -> None:
        self._until, self._curve, self._evaluator = until, curve, evaluator
        self.largest, self.reached = float("nan"), False

    def look(self, step: int, last: bool) -> bool:
        """Look, if it is time to; returns whether the curve is flat enough.

        Args:
            step: how many were done.
            last: whether this was the last one.
        """
        if step % self._until.every == 0 or last:
            with torch.no_grad():
                points = self._evaluator.score_points(self._curve, self._curve.grid(self._until.points))
            losses = [row["train_loss"] for row, _ in points]
            self.largest = float(np.max(losses))  # NaN if one is, which is never low enough
            wanted = self._until.loss or (self._until.ratio or 0) * max(losses[0], losses[-1])
            self.reached = self.largest <= wanted
        return self.reached

    def state(self) -> dict[str, Any]:
        """The largest loss when last looked at, and whether it was low enough: for the history, and to resume."""
        return {"largest": self.largest, "reached": self.reached}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.largest, self.reached = state["largest"], state["reached"]
