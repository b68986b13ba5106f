"""The scores of a target, put together from what the pieces of work that scored its points have kept."""

import warnings
from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from pathfinder.errors import PathfinderWarning
from pathfinder.experiment.kept import kept_result
from pathfinder.experiment.pieces import Target, round_of
from pathfinder.experiment.place import Place
from pathfinder.landscape.curvature import gather_curvature
from pathfinder.scoring.adaptive_plane import judge
from pathfinder.scoring.checks import Difference
from pathfinder.scoring.scores import Closeness, Scores
from pathfinder.tables.score_names import score_column


def gather_scores(place: Place, target: Target, parts: Sequence[str], tolerance: float | None = None) -> Scores:
    """The scores of a target.

    Args:
        place: where it was scored.
        target: what was scored.
        parts: the pieces that scored its points.
        tolerance: to which losses chose the points of a plane.
    """
    found = place.scored(target)
    kept = [kept_result(place.folder, name) for name in parts]
    points, t, known = [point for one in kept for point in one["points"]], found.t, None
    if "known" in kept[0]:  # the losses of a path chose its points
        t, known = kept[0]["t"], Closeness(**kept[0]["known"])
        _warn_if_rough(target, "losses", len(t), known)
    if tolerance is not None:
        t = _chosen(place, parts)
        known = judge(t, found.values_of(points), tolerance)
        _warn_if_rough(target, "log losses", len(points), known)
    return found.evaluator.gather(found.geometry, t, points, known)


def gather_measured(place: Place, target: Target, parts: Sequence[str]) -> pd.DataFrame:
    """The rows of curvature.csv of a target; the rest as for `gather_scores`."""
    found = place.measured(target)
    points = [point for name in parts for point in kept_result(place.folder, name)["points"]]
    chosen = found.settings.points == "auto"
    t = _chosen(place, parts) if chosen else found.t
    table = gather_curvature(found.geometry, t, points).assign(
        examples=len(found.data),
        batch_norm_examples=found.evaluator.counts()["batch_norm_examples"],
        batch_norm=found.evaluator.statistics_from,
    )
    if not chosen:
        return table
    known = judge(t, found.values_of(points), found.settings.points_tolerance)
    _warn_if_rough(target, "log ratios of eigenvalues", len(table), known)
    return table.assign(interpolation_gap=known.error, interpolation_converged=known.reached)


def _chosen(place: Place, parts: Sequence[str]) -> Tensor:
    """The points of all rounds over a plane."""
    return torch.cat([kept_result(place.folder, name)["t"] for name in dict.fromkeys(map(round_of, parts))])


def gather_ends(place: Place, piece: str) -> pd.DataFrame:
    """The rows of minima.csv of both ends of a path, from the piece that compared their statistics of BatchNorm."""
    rows, result = [], kept_result(place.folder, piece)
    for name, compared in result["compared"].items():
        row = {"name": name, "norm": result["norms"][name], "batch_norm": result["batch_norm"], **result["counts"]}
        for one in (Difference(**entry) for entry in compared):
            row[score_column(one.split, one.metric)] = one.expected
            row[score_column(one.split, one.metric, "reestimated")] = one.found
        rows.append(row)
    return pd.DataFrame(rows)


def name_of(target: Target) -> str:
    """What messages call a target."""
    return f"{target[0]} {'-'.join(target[1:])}".strip()


def _warn_if_rough(target: Target, what: str, points: int, known: Closeness) -> None:
    """Say so if values of a target are not known between the points that they chose.

    Args:
        target: the path, surface or plane.
        what: the values.
        points: how many there are.
        known: how well the values are known.
    """
    if not known.reached:
        name = name_of(target)
        warnings.warn(
            f"{name} is too rough for {points} points: {what} were off by {known.error:.2g} where they were "
            "interpolated before the last points; give it a number of points, or a larger tolerance.",
            PathfinderWarning,
            stacklevel=2,
        )
