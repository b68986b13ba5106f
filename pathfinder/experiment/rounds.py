"""A round of points over a plane, as its values so far ask for them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from pathfinder.experiment.kept import kept_result
from pathfinder.experiment.place import Measured, Scored
from pathfinder.progress import Progress
from pathfinder.scoring.adaptive_plane import ask, ends_of, fill_unknown, judge
from pathfinder.storage import StageFile
from pathfinder.storage.resume import Unfinished


def explore_round(
    folder: Path,
    stage: StageFile,
    progress: Progress,
    found: Scored | Measured,
    start: int,
    stop: int,
    before: Sequence[str],
    tolerance: float,
) -> None:
    """Score or measure some points of a round, unless those of the rounds before say enough of the plane.

    Args:
        folder: where the results of the round before lie.
        stage: keeps the points, what was found there, and the points and values of all rounds before.
        progress: called as progress(done, total).
        found: what is scored or measured, and the corners of the plane.
        start, stop: which points, counted from the first of all rounds.
        before: the pieces of the round before; none in the first round.
        tolerance: at which nothing is done.
    """
    kept = stage.load()
    if kept is not None and kept.get("finished") is not False:
        return
    none = found.t[:0]
    t, values = none, np.zeros(0)
    if before:
        last = kept_result(folder, before[-1])
        if not last["points"]:  # the round before had nothing to do
            stage.save({"points": [], "t": none, "finished": True})
            return
        parts = [*(kept_result(folder, name) for name in before[:-1]), last]
        t = torch.cat([last["earlier"][0], *(one["t"] for one in parts)])
        values = np.concatenate(
            [last["earlier"][1], found.values_of([point for one in parts for point in one["points"]])]
        )
    enough = bool(before) and judge(t, values, tolerance).reached
    own = none if enough else ask(ends_of(found.t), fill_unknown(t, values))[start:stop]
    points = [] if enough else found.work(own, progress, Unfinished(stage))
    stage.save({"points": points, "t": own, "earlier": (t, values.tolist()), "finished": True})
