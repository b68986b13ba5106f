"""A round of points over a plane, as its values so far ask for them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pathfinder.experiment.place import Place, kept_result
from pathfinder.scoring.adaptive_plane import ask, ends_of, fill_unknown, judge
from pathfinder.storage import StageFile
from pathfinder.storage.resume import Unfinished


def explore_round(
    place: Place,
    stage: StageFile,
    before: Sequence[str],
    corners: Tensor,
    values_of: Callable[[Sequence[Any]], np.ndarray],
    work: Callable[..., Sequence[Any]],
    part: slice,
    tolerance: float,
) -> None:
    """Work on some points of a round, unless those of the rounds before say enough of the plane.

    Args:
        place: where the results of the round before lie.
        stage: keeps the points, what was found there, and the points and values of all rounds before.
        before: the pieces of the round before; none for the first.
        corners: of the plane.
        values_of: what is known between points, from what was found at them.
        work: finds it, called as work(t, stage=stage).
        part: of the points, counted from the first of all rounds.
        tolerance: at which nothing is done.
    """
    kept = stage.load()
    if kept is not None and kept.get("finished") is not False:
        return
    t, values = corners[:0], np.zeros(0)
    if before:
        last = kept_result(place.folder, before[-1])
        if not last["points"]:  # the round before had nothing to do
            stage.save({"points": [], "t": t, "finished": True})
            return
        parts = [*(kept_result(place.folder, name) for name in before[:-1]), last]
        t = torch.cat([last["earlier"][0], *(one["t"] for one in parts)])
        values = np.concatenate([last["earlier"][1], values_of([point for one in parts for point in one["points"]])])
    enough = bool(before) and judge(t, values, tolerance).reached
    own = corners[:0] if enough else ask(ends_of(corners), fill_unknown(t, values))[part]
    points = [] if enough else work(own, stage=Unfinished(stage))
    stage.save({"points": points, "t": own, "earlier": (t, values.tolist()), "finished": True})
