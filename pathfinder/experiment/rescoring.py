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
from pathfinder.experiment.place import Place
from pathfinder.progress import Progress
from pathfinder.scoring.adaptive import TOLERANCE as LARGEST
from pathfinder.scoring.sample_size import TOLERANCE
from pathfinder.scoring.scores import Scores
from pathfinder.scoring.settings import ALL
from pathfinder.storage.resume import Stage, Unfinished
from pathfinder.tables.regression import on_all_examples
from pathfinder.tables.score_names import score_column, score_columns
from pathfinder.tables.summary import peaks

_SMALL = 0.01  # nats; smaller differences of a loss are not worth a word


def rescore(
    place: Place, stage: Stage, progress: Progress, target: Target, parts: Sequence[str], ends: str | None
) -> dict[str, Any]:
    """Score a path on all examples where it is worst on some of them, or its ends if no parts are given.

    With the ends scored too, points follow where a loss is then expected to be larger still.

    Args:
        place: where it is scored.
        stage, progress: of the points.
        target: the path.
        parts: the pieces that scored it on some of the examples.
        ends: the piece that scores its ends on all, if there is one.

    Returns:
        t and the points, for the stage to keep.
    """
    full = place.scored(target, ALL)
    some = gather_scores(place, target, parts) if parts else None
    t, points = list[float](), list[Any]()
    more = [0.0, 1.0] if some is None else peaks(some.table)
    if full.evaluator.counts() == place.scored(target).evaluator.counts():
        more = []
    while more:
        t += more
        points = full.work(torch.tensor(t, dtype=torch.float64), progress, Unfinished(stage))
        more = []
        if some is not None and ends is not None:
            whole, kept = _gather(place, target, t, points), kept_result(place.folder, ends)
            more = _larger(some, whole.merge(_gather(place, target, kept["t"], kept["points"])))
    return {"t": t, "points": points}


def gather_rescored(place: Place, target: Target, parts: Sequence[str], piece: str) -> Scores | None:
    """The scores that a piece found on all examples; None if it did not have to.

    One line says so if losses there are others than on the examples that score the path.

    Args:
        place, target, parts: as for `rescore`.
        piece: which.
    """
    kept = kept_result(place.folder, piece)
    if not kept["points"]:
        return None
    scores = _gather(place, target, kept["t"], kept["points"])
    if parts:
        _warn_if_unlike(target, gather_scores(place, target, parts).table, scores.table)
    return scores


def _gather(place: Place, target: Target, t: Sequence[float], points: Sequence[Any]) -> Scores:
    """The scores of some points of a path on all examples, by rising t."""
    full, order = place.scored(target, ALL), np.argsort(t)
    at = torch.tensor([t[i] for i in order], dtype=torch.float64)
    return full.evaluator.gather(full.geometry, at, [points[i] for i in order])


def _larger(some: Scores, whole: Scores) -> list[float]:
    """Where a loss on all examples is expected to be larger, by more than the tolerance, than at the points so far."""
    inside, found = some.between(), set[float]()
    for metric, split in inside.per_example:
        if metric == "loss":
            values = on_all_examples(inside, whole, metric, split)
            if values.max() > (1 + LARGEST) * whole.table[score_column(split, metric)].max():
                found.add(float(inside.table["t"][values.argmax()]))
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
