"""What is read off scored paths: barriers, lengths, integrals, and their spread over pairs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pathfinder.errors import PathfinderError, listed
from pathfinder.scoring.scores import Scores
from pathfinder.settings import of_kind, whole
from pathfinder.tables.intervals import barrier_interval

KEYS = ["pair", "path", "split", "metric"]


QUANTITIES = [
    "start",
    "end",
    "min",
    "max",
    "mean",
    "integral",
    "argmax",
    "barrier",
    "barrier_low",
    "barrier_high",
]


QUANTITIES += ["barrier_mean", "midpoint", "length", "length_ratio"]


def barriers(scores: Scores) -> dict[str, float]:
    """The barrier of one path for each split and metric, with its 95 % interval: SPLIT_METRIC_barrier, _low, _high."""
    found = {}
    for _, row in summarize({"line": scores}).iterrows():
        for column in ("barrier", "barrier_low", "barrier_high"):
            found[f"{row['split']}_{row['metric']}_{column}"] = row[column]
    return found


def summarize(scores: Mapping[str, Scores], pair: str = "", seed: int = 0) -> pd.DataFrame:
    """A row per path, split and metric: what `summary.csv` holds. Points outside [0, 1] are left out.

    With L(t) the metric along the path: start and end, min, max, mean (plain, over points), integral (trapezoid in arc
    length, divided by the length; Garipov et al. 2018), argmax (the t of max), barrier = max_t L(t) - ((1 - t) L(0) +
    t L(1)) (Entezari et al. 2022), barrier_low and barrier_high (its 95 % interval over examples, see
    `barrier_interval`), barrier_mean = max L - (L(0) + L(1)) / 2 (Ainsworth et al. 2023; on the error, Frankle et al.
    2020), midpoint = L(1/2) - (L(0) + L(1)) / 2, length in weight space, length_ratio to the distance of the ends,
    examples, batch_norm_examples. A largest mean of noisy ones, as max and barrier are, is biased upwards, the more so
    the flatter the path and the fewer the examples; the interval is not.

    Args:
        scores: what `Evaluator.score` gave, by the name of the path.
        pair: the name of the two minima.
        seed: draws the bootstrap.

    Raises:
        PathfinderError: if a path was not scored at t = 0 and t = 1.
    """
    if not isinstance(scores, Mapping):
        raise PathfinderError(
            f'scores must be those of paths by name, got {type(scores).__name__}; pass {{"line": scores}}.'
        )
    whole(seed, "seed", 0)
    rows = []
    for path, scored in scores.items():
        of_kind(scored, Scores, f"the scores of `{path}`", "give what Evaluator.score gives")
        table = scored.table
        if "t" not in table:
            raise PathfinderError(f"a summary is of paths, but `{path}` was scored along {listed(table.columns[:2])}.")
        inside = ((table["t"] >= 0) & (table["t"] <= 1)).to_numpy()
        t = table["t"].to_numpy()[inside]
        if len(t) == 0 or t[0] != 0 or t[-1] != 1 or (np.diff(t) <= 0).any():
            raise PathfinderError(
                f"a summary of `{path}` needs rising t with 0 and 1 among them, got {len(t)} in [0, 1]."
            )
        walked = table["arc_length"].to_numpy()[inside]
        for (metric, split), values in scored.per_example.items():
            low, high = barrier_interval(t, values[inside], seed)
            curve = table[f"{split}_{metric}"].to_numpy()[inside]
            rows.append(
                {"pair": pair, "path": path, "split": split, "metric": metric}
                | read_off(t, walked, curve)
                | {"barrier_low": low, "barrier_high": high, "length": scored.length}
                | {"length_ratio": scored.length / scored.chord if scored.chord else np.nan}
                | {"examples": values.shape[1], "batch_norm_examples": int(table["batch_norm_examples"].iloc[0])}
            )
    return pd.DataFrame(rows, columns=[*KEYS, *QUANTITIES, "examples", "batch_norm_examples"])


def read_off(t: np.ndarray, walked: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """The numbers of `summarize` that follow from one metric along t, (points,), and the distance walked, (points,)."""
    middle = values[t == 0.5]
    ends = (values[0] + values[-1]) / 2
    area = float(np.trapezoid(values, walked))
    return {
        "start": values[0],
        "end": values[-1],
        "min": values.min(),
        "max": values.max(),
        "mean": values.mean(),
        "integral": area / walked[-1] if walked[-1] > 0 else values.mean(),
        "argmax": t[values.argmax()],
        "barrier": _barrier(t, values[None])[0],
        "barrier_mean": values.max() - ends,
        "midpoint": middle[0] - ends if len(middle) else np.nan,
    }


def peaks(table: pd.DataFrame) -> list[float]:
    """The t strictly between 0 and 1 at which a loss or error of a scored path is largest, each once, rising."""
    inside = table[(table["t"] > 0) & (table["t"] < 1)]
    scored = [column for column in inside if column.endswith(("_loss", "_error"))]
    return sorted({float(inside["t"].iloc[inside[column].argmax()]) for column in scored}) if len(inside) else []


def replicates(summary: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation over the pairs of a group, for each quantity of the summary.

    Columns: group, path, split, metric, quantity, pairs, mean, std (empty for one pair), min, max, and for the barrier
    low and high, the mean ends of the intervals within each pair.
    """
    keys = ["group", *KEYS[1:]]
    long = summary.melt([*keys, "pair"], QUANTITIES, "quantity")
    order = {quantity: i for i, quantity in enumerate(QUANTITIES)}
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


def _barrier(t: np.ndarray, values: np.ndarray) -> np.ndarray:
    """max over t of each row of values, (rows, points), above the straight line between its ends."""
    return (values - (1 - t) * values[:, :1] - t * values[:, -1:]).max(1)
