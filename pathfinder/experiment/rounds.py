"""Rounds of points over a plane, as its values so far ask for them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pathfinder.experiment.kept import kept_result
from pathfinder.experiment.pieces import round_of
from pathfinder.experiment.place import Measured, Scored
from pathfinder.scoring.adaptive_plane import ROUND, ask, ends_of, fill_unknown, judge

Values = tuple[Tensor, list[float]]  # points, and what was found there


def next_round(
    folder: Path, found: Scored | Measured, before: Sequence[str], tolerance: float
) -> tuple[Tensor, Values]:
    """The points of a round; none if those of the rounds before say enough of the plane. And the rounds before.

    Args:
        folder: where the results of the round before lie.
        found: what is scored or measured, and the corners of the plane.
        before: the pieces that did the round before; none in the first round.
        tolerance: at which enough is known.
    """
    none, t, values = found.t[:0], found.t[:0], np.zeros(0)
    if before:
        last = kept_result(folder, round_of(before[0]))
        if not len(last["t"]):  # the rounds have ended
            return none, (none, [])
        points = [point for name in before for point in kept_result(folder, name)["points"]]
        t = torch.cat([last["earlier"][0], last["t"]])
        values = np.concatenate([last["earlier"][1], found.values_of(points)])
    enough = bool(before) and judge(t, values, tolerance).reached
    return none if enough else ask(ends_of(found.t), fill_unknown(t, values))[len(t) :], (t, values.tolist())


def chosen_points(folder: Path, choice: str, start: int, stop: int) -> Tensor:
    """Some points of a round, counted from the first of all rounds; none if it has none."""
    first = start - start % ROUND
    return kept_result(folder, choice)["t"][start - first : stop - first]
