"""Minima and pairs of them: as a config describes them, and with all settings filled in."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pathfinder.settings import Checked, Name
from pathfinder.training.settings import CurveSettings, Minimum

ALIGNED = "aligned-"  # before the name of a path whose end b was aligned to a
REPAIRED = f"{ALIGNED}line-repair"  # the line to the aligned b whose hidden units are repaired


def is_straight(path: str) -> bool:
    """Whether a path is the line, to b as it was trained or aligned, or repaired.

    >>> is_straight("aligned-line"), is_straight("aligned-line-repair"), is_straight("bezier")
    (True, True, False)
    """
    return path in ("line", f"{ALIGNED}line", REPAIRED)


class Pairs(Checked):
    """A group of pairs of minima that differ only in their seeds.

    Attributes:
        name: of the group; the model's if not given.
        replicates: how many pairs.
        same_init: whether both ends start from the same weights, and differ only in the order of the examples.
        minimum, a, b: changes to `[minimum]`, for both ends or for one.
        curves: replace `[[curves]]`.
    """

    name: Name | None = None
    replicates: Annotated[int, Field(ge=1, le=1000)] = 1
    same_init: bool = False
    minimum: Minimum = Minimum()
    a: Minimum = Minimum()
    b: Minimum = Minimum()
    curves: list[CurveSettings] | None = None


class SingleMinimum(Minimum):
    """A minimum without a pair, for its surfaces and their curvature, or for `every_pair` of `[align]`.

    Attributes:
        name: in tables; the model's or that of the checkpoint's file if not given.
    """

    name: Name | None = None

    @property
    def title(self) -> str:
        """Its name in tables."""
        return self.name or title_of(self) or Path(self.checkpoint or "minimum").stem


def title_of(end: Minimum) -> str:
    """The name of its network, as files may be called; empty if that is not known."""
    return as_title(end.model.name) if end.model else ""


def as_title(network: str) -> str:
    """The name of a network, as files may be called.

    >>> as_title("torchvision:resnet18")
    'torchvision-resnet18'
    """
    return network.replace(":", "-")


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
