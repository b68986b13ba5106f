"""Choose how many examples a path needs, where the config leaves that to its losses."""

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from pathfinder.experiment.pieces import Target
from pathfinder.experiment.place import Place
from pathfinder.progress import Progress
from pathfinder.scoring.adaptive import open_ended
from pathfinder.scoring.means import Values
from pathfinder.scoring.sample_size import enough_to_reestimate, enough_to_score
from pathfinder.scoring.scores import Scores
from pathfinder.scoring.settings import ALL, FEW, Examples


def choose(place: Place, progress: Progress, target: Target, wanted: Collection[str], tolerance: float) -> Examples:
    """How many examples of each split score a path, and how many re-estimate BatchNorm along it.

    Args:
        place: where it is scored.
        progress: called with the number of points scored so far.
        target: the path.
        wanted: what is to be chosen, `examples` and `batch_norm_examples`; the rest is as the place says.
        tolerance: as for `enough_to_score`.
    """
    everything, counts, show, done = place.scored(target, ALL), place.examples(target), open_ended(progress), 0
    evaluator, path = everything.evaluator, everything.geometry

    def step(*of_part: int) -> None:
        nonlocal done
        done += 1
        show(done, done)

    def values(count: int) -> list[Values]:
        found = place.scored(target, replace(FEW, batch_norm=count)).evaluator
        step()
        return [found.values(theta) for theta in path(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))]

    def score(count: int, t: Tensor) -> Scores:
        return place.scored(target, replace(counts, scored=count)).evaluator.score(path, t, progress=step)

    if "batch_norm_examples" in wanted and evaluator.reestimates:
        most = evaluator.counts()["batch_norm_examples"]
        counts = replace(counts, batch_norm=enough_to_reestimate(values, most))
    if "examples" in wanted:
        most = max(len(split) for split in evaluator.data.values())
        counts = replace(counts, scored=enough_to_score(score, most, tolerance))
    progress(done, done)
    return counts
