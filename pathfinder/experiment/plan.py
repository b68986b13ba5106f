"""One pair to be trained and connected, with all its settings filled in."""

import math
from dataclasses import dataclass

from pathfinder.training.settings import CurveSettings, Minimum


@dataclass(frozen=True)
class Plan:
    """One pair to be made: its group, its name, its ends and its curves."""

    group: str
    name: str
    a: Minimum
    b: Minimum
    curves: list[CurveSettings]

    def paths(self, line: bool, aligned: bool) -> list[str]:
        """The names of all that is scored between the two: the line, if it is, the curves, and again with b aligned."""
        names = [*(["line"] if line else []), *(curve.title for curve in self.curves)]
        return names + [f"aligned-{name}" for name in names if aligned]


def kept_weights(plan: Plan, side: str) -> int:
    """How many weights on the way to an end are kept: the first ones, every few epochs' and the last."""
    end = getattr(plan, side)
    if end.checkpoint is not None or end.checkpoint_every is None:
        return 0
    return 1 + math.ceil(end.epochs / end.checkpoint_every)
