"""A pair of minima and the curves between them, with all settings filled in."""

import math
from dataclasses import dataclass

from pathfinder.training.settings import CurveSettings, Minimum

ALIGNED = "aligned-"  # before the name of a path whose end b was aligned to a
REPAIRED = f"{ALIGNED}line-repair"  # the line to the aligned b whose hidden units are repaired


def is_straight(path: str) -> bool:
    """Whether a path is the line, to b as it was trained or aligned, or repaired.

    >>> is_straight("aligned-line"), is_straight("aligned-line-repair"), is_straight("bezier")
    (True, True, False)
    """
    return path in ("line", f"{ALIGNED}line", REPAIRED)


@dataclass(frozen=True)
class Pair:
    """A pair to train and connect: its group, its name, its ends and its curves."""

    group: str
    name: str
    a: Minimum
    b: Minimum
    curves: list[CurveSettings]

    @property
    def ends(self) -> dict[str, Minimum]:
        """Both ends by the names of their minima."""
        return {f"{self.name}-a": self.a, f"{self.name}-b": self.b}

    @property
    def aligned(self) -> str:
        """The name of the aligned b."""
        return f"{self.name}-b-aligned"

    def paths(self, line: bool, aligned: bool) -> list[str]:
        """The names of all scored paths: the line if it is scored, the curves, and those with b aligned."""
        return [
            f"{ALIGNED * after}{name}"
            for after in ((False, True) if aligned else (False,))
            for name in [*["line"] * line, *(curve.title for curve in self.between(after))]
        ]

    def between(self, aligned: bool) -> list[CurveSettings]:
        """The curves to b as it was trained, or to the aligned b."""
        return [curve for curve in self.curves if curve.aligned in (None, aligned)]


def kept_weights(end: Minimum) -> int:
    """How many checkpoints the training of a minimum keeps: the first, one every few epochs, and the last."""
    if end.checkpoint is not None or end.checkpoint_every is None:
        return 0
    return 1 + math.ceil(end.epochs / end.checkpoint_every)
