"""Barriers, lengths and integrals of scored paths, and their spread over pairs."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pathfinder.errors import PathfinderError, list_names
from pathfinder.scoring.adaptive import integral_of, rise
from pathfinder.scoring.scores import Scores
from pathfinder.settings import check_kind, whole
from pathfinder.tables.intervals import barrier_interval
from pathfinder.tables.regression import on_all_examples
from pathfinder.tables.schema import KNOWN, QUANTITIES, SUMMARY
from pathfinder.tables.score_names import score_column, score_columns

_KEYS = list(SUMMARY.key)
_QUANTITIES = [column.name for column in QUANTITIES]
_KNOWN = [column.name for column in KNOWN]


def barriers(scores: Scores) -> dict[str, float]:
    """The barrier of one path and its 95 % interval, for each split and metric, by the columns of `barriers.csv`."""
    rows = summarize({"line": scores}).to_dict("records")
    return {
        score_column(row["split"], row["metric"], quantity): row[quantity]
        for row in rows
        for quantity in ("barrier", "barrier_low", "barrier_high")
    }


def summarize(
    scores: Mapping[str, Scores], pair: str = "", seed: int = 0, rescored: Mapping[str, Scores] | None = None
) -> pd.DataFrame:
    """Summarise scored paths, one row for each path, split and metric, as in `summary.csv`.

    With L(t) the mean of the metric over the examples, by their weights if they have any, and only the points from
    t = 0 to t = 1:

    - start, end, min, max, mean: L(0), L(1), and the smallest, largest and mean L(t) of the points.
    - integral: the mean of L over the length of the path, by the trapezoid rule (Garipov et al. 2018); by
      `adaptive.integral_of` where the points were chosen by the losses, as is their mean.
    - argmax: the t of the largest L(t).
    - barrier: max over t of L(t) - ((1 - t) L(0) + t L(1)) (Entezari et al. 2022).
    - barrier_low, barrier_high: its 95 % interval over the examples, see `intervals.barrier_interval`.
    - barrier_mean: max L - (L(0) + L(1)) / 2 (Ainsworth et al. 2023; for the error, Frankle et al. 2020).
    - midpoint: L(1/2) - (L(0) + L(1)) / 2.
    - length, length_ratio: of the path in weight space, and divided by the distance between its ends.
    - examples, batch_norm_examples: how many were scored, and how many re-estimated BatchNorm.

    and where the losses chose the points:

    - argmax_low, argmax_high: the scored points on both sides of the largest L(t).
    - interpolation_gap, converged: see `Closeness`.

    and where some points were scored again on all examples:

    - examples_rescored: how many that are. Start, end, max, argmax, the barriers and the interval are those of these
      points; min, mean, midpoint and integral are of all points, as `regression` estimates them.

    The largest of noisy means is too high on average, more so the flatter the path and the fewer the examples. That
    holds for max and barrier; the interval allows for it.

    Args:
        scores: results of `Evaluator.score` by the names of their paths.
        pair: what to call the two minima.
        seed: draws the bootstrap samples.
        rescored: by the names of some of the paths, those of their points that all examples were scored at, both ends
            among them.

    Returns:
        The columns pair, path, split, metric, and the above.

    Raises:
        PathfinderError: if a path was not scored at t = 0 and t = 1.

    Example:
        >>> import torch
        >>> from pathfinder import Evaluator, Line, WeightSpace, summarize
        >>> a, b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        >>> data = {"test": (torch.eye(2), torch.tensor([0, 1]))}
        >>> space = WeightSpace(a)
        >>> scores = Evaluator(space, data).score(Line(space.vector(a), space.vector(b)), 5)
        >>> summarize({"line": scores})[["path", "split", "metric", "examples"]]
           path split metric  examples
        0  line  test   loss         2
        1  line  test  error         2
    """
    if not isinstance(scores, Mapping):
        raise PathfinderError(
            f'scores must be a mapping from path names to scores, got {type(scores).__name__}; pass {{"line": scores}}.'
        )
    whole(seed, "seed", 0)
    rows, rescored = [], rescored or {}
    if unknown := sorted(rescored.keys() - scores.keys()):
        raise PathfinderError(f"rescored has paths that were not scored: {list_names(unknown)}; leave them out.")
    for path, scored in scores.items():
        for found in (scored, rescored.get(path, scored)):
            check_kind(found, Scores, f"the scores of `{path}`", "pass the result of Evaluator.score")
        if "t" not in scored.table:
            raise PathfinderError(
                f"only paths can be summarised, but `{path}` has coordinates {list_names(scored.table.columns[:2])}; "
                "leave it out."
            )
        scored = scored.between()
        judged = rescored.get(path, scored)
        for found in (scored, judged):
            _check_ends(path, found.table["t"].to_numpy())
        table, t = scored.table, scored.table["t"].to_numpy()
        largest = np.isin(t, judged.table["t"])
        for (metric, split), values in scored.per_example.items():
            curve = table[score_column(split, metric)].to_numpy()
            if judged is not scored:
                curve = on_all_examples(scored, judged, metric, split)
            measured, weights = judged.per_example[metric, split], judged.weights_of(metric, split)
            low, high = barrier_interval(judged.table["t"].to_numpy(), measured, seed, weights)
            row = read_off(t, table["arc_length"].to_numpy(), curve, scored.closeness is None, largest)
            rows.append(
                {"pair": pair, "path": path, "split": split, "metric": metric}
                | row
                | {"barrier_low": low, "barrier_high": high, "length": scored.length}
                | {
                    "length_ratio": scored.length / scored.chord
                    if scored.length is not None and scored.chord
                    else np.nan
                }
                | {"examples": values.shape[1], "batch_norm_examples": int(table["batch_norm_examples"].iloc[0])}
                | ({"batch_norm": table["batch_norm"].iloc[0]} if "batch_norm" in table else {})
                | ({} if judged is scored else {"examples_rescored": measured.shape[1]})
                | _known(t, float(row["argmax"]), scored)
            )
    more = [name for name in ("batch_norm", "examples_rescored", *_KNOWN) if any(name in row for row in rows)]
    return pd.DataFrame(rows, columns=[*_KEYS, *_QUANTITIES, "examples", "batch_norm_examples", *more])


def _known(t: np.ndarray, argmax: float, scored: Scores) -> dict[str, Any]:
    """How well a path is known whose points were chosen by its losses: the columns `_KNOWN`."""
    if scored.closeness is None:
        return {}
    k = int(np.searchsorted(t, argmax))
    around = t[max(k - 1, 0)], t[min(k + 1, len(t) - 1)]
    return dict(zip(_KNOWN, (*around, scored.closeness.error, scored.closeness.reached), strict=True))


def _check_ends(path: str, t: np.ndarray) -> None:
    """Raise a PathfinderError unless t rises from 0 to 1."""
    if len(t) == 0 or t[0] != 0 or t[-1] != 1 or (np.diff(t) <= 0).any():
        raise PathfinderError(
            f"a summary of `{path}` needs rising t with 0 and 1 among them, got {len(t)} in [0, 1]; score it again."
        )


def read_off(
    t: np.ndarray, walked: np.ndarray, values: np.ndarray, given: bool = True, largest: np.ndarray | None = None
) -> dict[str, float]:
    """The quantities of `summarize` that follow from the means of one metric.

    Args:
        t: (points,), from 0 to 1.
        walked: (points,), the arc length up to each point.
        values: (points,), the metric.
        given: whether the points were given; else they were chosen by the losses, and lie where these are large.
        largest: (points,), of which points the largest value is taken, the ends among them; of all if not given.
    """
    middle, tops = values[t == 0.5], values
    if largest is not None:
        tops = np.where(largest | ~np.isfinite(values), values, -np.inf)
    ends = (values[0] + values[-1]) / 2
    mean = values.mean() if given else integral_of(t, values)
    if walked[-1] <= 0:
        integral = mean
    else:
        integral = np.trapezoid(values, walked) / walked[-1] if given else integral_of(walked, values)
    return {
        "start": values[0],
        "end": values[-1],
        "min": values.min(),
        "max": tops.max(),
        "mean": mean,
        "integral": float(integral),
        "argmax": t[tops.argmax()],
        "barrier": rise(t, tops).max(),
        "barrier_mean": tops.max() - ends,
        "midpoint": middle[0] - ends if len(middle) else np.nan,
    }


def peaks(table: pd.DataFrame) -> list[float]:
    """Where a scored path is worst: the t strictly between 0 and 1 at which a loss or error, or its rise, is largest.

    What is not finite is larger than all else; a column without numbers is left out.
    """
    table = table[(table["t"] >= 0) & (table["t"] <= 1)]
    t, found = table["t"].to_numpy(), set[float]()
    for column in score_columns(table) if len(t) > 2 else ():
        if table[column].notna().any():
            values = np.nan_to_num(table[column].to_numpy(dtype=float), nan=np.inf)
            with np.errstate(invalid="ignore"):
                rises = np.nan_to_num(rise(t, values), nan=np.inf)
            found |= {float(t[1:-1][one[1:-1].argmax()]) for one in (values, rises)}
    return sorted(found)


def replicates(summary: pd.DataFrame) -> pd.DataFrame:
    """The spread of every quantity of a summary over the pairs of a group, as in `replicates.csv`."""
    keys = ["group", *_KEYS[1:]]
    long = summary.melt([*keys, "pair"], _QUANTITIES, "quantity")
    order = {quantity: i for i, quantity in enumerate(_QUANTITIES)}
    grouped = long.groupby([*keys, "quantity"], sort=False)["value"]
    table = grouped.agg(pairs="size", mean="mean", std="std", min="min", max="max").reset_index()
    within = table[table["quantity"].isin(["barrier_low", "barrier_high"])].pivot(
        index=keys, columns="quantity", values="mean"
    )
    table = table.join(within.rename(columns={"barrier_low": "low", "barrier_high": "high"}), on=keys)
    table.loc[table["quantity"] != "barrier", ["low", "high"]] = np.nan
    first = {key: i for i, key in enumerate(dict.fromkeys(map(tuple, summary[keys].to_numpy())))}
    rank = [(first[tuple(row)], order[q]) for row, q in zip(table[keys].to_numpy(), table["quantity"], strict=True)]
    return table.iloc[sorted(range(len(table)), key=rank.__getitem__)].reset_index(drop=True)
