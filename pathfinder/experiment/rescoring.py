"""Points of a path scored once more, on all examples: its ends, and where it is worst."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from pathfinder.errors import PathfinderWarning
from pathfinder.experiment.gather import gather_scores, name_of
from pathfinder.experiment.kept import kept_result
from pathfinder.experiment.pieces import Target
from pathfinder.experiment.place import Place, Scored
from pathfinder.progress import Progress
from pathfinder.scoring.adaptive import TOLERANCE as LARGEST
from pathfinder.scoring.adaptive import rise
from pathfinder.scoring.sample_size import TOLERANCE
from pathfinder.scoring.scores import Scores
from pathfinder.scoring.settings import Examples
from pathfinder.storage.resume import Stage, Unfinished
from pathfinder.tables.regression import on_all_examples
from pathfinder.tables.score_names import score_columns
from pathfinder.tables.summary import peaks

_SMALL = 0.01  # nats; smaller differences of a loss are not worth a word


def rescore(place: Place, stage: Stage, progress: Progress, target: Target, parts: Sequence[str]) -> dict[str, Any]:
    """Score the ends of a path, and where it is worst on some of the examples, on all of them.

    Points follow where a loss, or its rise, is then expected to be larger still.

    Args:
        place: where it is scored.
        stage, progress: of the points.
        target: the path.
        parts: the pieces that scored it on some of the examples.

    Returns:
        t and the points, for the stage to keep.
    """
    some, full = gather_scores(place, target, parts), _on_all(place, target)
    t, points = list[float](), list[Any]()
    more = [0.0, 1.0, *peaks(some.table)]
    if full.evaluator.counts() == place.scored(target).evaluator.counts():
        more = []
    while more:
        t += more
        points = full.work(torch.tensor(t, dtype=torch.float64), progress, Unfinished(stage))
        more = _larger(some, _gather(full, t, points))
    return {"t": t, "points": points}


def gather_rescored(place: Place, target: Target, some: Scores, piece: str) -> Scores | None:
    """The scores that a piece found on all examples; None if it did not have to.

    One line says so if losses there are others than on the examples that score the path.

    Args:
        place, target: as for `rescore`.
        some: the scores on some of the examples.
        piece: which.
    """
    kept = kept_result(place.folder, piece)
    if not kept["points"]:
        return None
    scores = _gather(_on_all(place, target), kept["t"], kept["points"])
    _warn_if_unlike(target, some.table, scores.table)
    return scores


def _on_all(place: Place, target: Target) -> Scored:
    """What scores a path on all examples; if it chose some, BatchNorm is re-estimated as with these, else from all."""
    given, used = place.given(target), place.examples(target)
    chosen = given.scored is None and used.scored is not None
    return place.scored(target, Examples(batch_norm=used.batch_norm if chosen else None))


def _gather(full: Scored, t: Sequence[float], points: Sequence[Any]) -> Scores:
    """The scores of some points of a path, by rising t."""
    order = np.argsort(t)
    at = torch.tensor([t[i] for i in order], dtype=torch.float64)
    return full.evaluator.gather(full.geometry, at, [points[i] for i in order])


def _larger(some: Scores, rescored: Scores) -> list[float]:
    """Where a loss, or its rise, is expected to be larger, by more than the tolerance, than at the points so far."""
    inside, found = some.between(), set[float]()
    t = inside.table["t"].to_numpy()
    known = np.isin(t, rescored.table["t"])
    for metric, split in inside.per_example:
        if metric == "loss":
            losses = on_all_examples(inside, rescored, metric, split)
            enough = LARGEST * losses[known].max()
            for values in (losses, rise(t, losses)):
                if values.max() > values[known].max() + enough:
                    found.add(float(t[values.argmax()]))
    return sorted(found)


def _warn_if_unlike(target: Target, few: pd.DataFrame, everything: pd.DataFrame) -> None:
    """Say so if losses of a path with some of the examples are not those with all, where they differ most."""
    columns = score_columns(everything, "loss")
    found, wanted = (table.set_index("t").loc[everything["t"], columns].stack() for table in (few, everything))
    gaps = (found - wanted).abs()
    gaps = gaps[(gaps > TOLERANCE * wanted) & (gaps > _SMALL)]
    if gaps.empty:
        return
    (t, column), name = gaps.idxmax(), name_of(target)
    warnings.warn(
        f"{name}: {column.replace('_', ' ')} at t = {t:.3g} is {found[t, column]:.3g} with the examples that score the "
        f"path, and {wanted[t, column]:.3g} with all, as in rescored.csv; more examples bring paths.csv and its "
        "figures closer.",
        PathfinderWarning,
        stacklevel=2,
    )
