"""Choose how many examples a path needs, where the config leaves that to its losses."""

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from pathfinder.experiment.pieces import Target
from pathfinder.experiment.place import Place
from pathfinder.interrupts import check_interrupt
from pathfinder.progress import Progress
from pathfinder.scoring.adaptive import open_ended
from pathfinder.scoring.means import Values
from pathfinder.scoring.sample_size import enough_to_reestimate, enough_to_score
from pathfinder.scoring.settings import ALL, FEW


def choose(
    place: Place, progress: Progress, target: Target, wanted: Collection[str], tolerance: float
) -> dict[str, int]:
    """How many examples of each split score a path, and how many re-estimate BatchNorm along it, if any do.

    Args:
        place: where it is scored.
        progress: called with the number of points scored so far.
        target: the path.
        wanted: what is to be chosen, `examples`, `batch_norm_examples` or both.
        tolerance: as for `enough_to_score`.
    """
    everything, counts, show, done = place.scored(target, ALL), place.given(target), open_ended(progress), 0
    evaluator, path = everything.evaluator, everything.geometry
    statistics: dict[float, Tensor] = {}  # of BatchNorm, once re-estimated
    chosen: dict[str, int] = {}

    def step(*of_part: int) -> None:
        nonlocal done
        done += 1
        show(done, done)
        check_interrupt()

    def reestimated(count: int) -> list[Values]:
        few, found = place.scored(target, replace(FEW, batch_norm=count)).evaluator, []
        for theta in path(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)):
            found.append(few.values(theta))
            step()
        return found

    def scored(count: int, t: Tensor) -> list[Values]:
        some = place.scored(target, replace(counts, scored=count))
        if not evaluator.reestimates:
            return some.values(t, step)
        found = []
        for at, theta in zip(t.tolist(), path(t), strict=True):
            if at not in statistics:
                statistics[at] = some.evaluator.reestimate(theta)
            found.append(some.evaluator.values(theta, statistics[at]))
            step()
        return found

    if "batch_norm_examples" in wanted and evaluator.reestimates:
        most = evaluator.counts()["batch_norm_examples"]
        chosen["batch_norm_examples"] = enough_to_reestimate(reestimated, most)
        counts = replace(counts, batch_norm=chosen["batch_norm_examples"])
    if "examples" in wanted:
        sizes = {name: len(split) for name, split in evaluator.data.items()}
        chosen["examples"] = enough_to_score(scored, sizes, tolerance)
    progress(max(done, 1), max(done, 1))
    return chosen
