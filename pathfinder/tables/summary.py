"""Tables: what is read off the scores (barriers, lengths, integrals, error bars), and CSV files in and out."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
import torch
from torch import nn

from pathfinder.checks import of_kind, whole
from pathfinder.errors import PathfinderError, listed
from pathfinder.scoring.scores import Scores
from pathfinder.storage import existing_file, write_text

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

# Columns that hold names, not numbers
_TEXT = ("pair", "path", "group", "name", "surface", "plane", "fit", "along", "split", "metric", "a", "b", "method")
_TEXT += ("quantity",)
FILED = ("pair", "group", "plane", "surface", "along")  # of them, those that figures are called after
# What a config takes as a name, and what is made of an import path, `my_nets:Net` or `_nets.Net`
_FILE_NAME = re.compile(r"\w[\w.+:-]*")
_LONGEST = 200  # letters in a name
_MEASURED = ("_loss", "_error", "_se", "_barrier")

_RESAMPLES = 1000  # enough for two digits of a 95 % interval
_BLOCK = 100  # resamples at a time, to bound memory
_CHOICE, _SIDE = 0.005, 0.0225  # of missing the highest point, and the barrier on either side: 5 % in all
_ROUNDING = 1e-12  # of the values; what varies less does not vary


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


def weight_histogram(module: nn.Module, bins: int = 101) -> pd.DataFrame:
    """How the weights of a module are spread: a row per bin, columns low, high, weights (a count), density.

    Tensors of two or more dimensions only: biases and norm parameters have laws of their own. The bins divide the
    middle 99.9 % evenly, symmetric about zero; one more on each side holds the rest.
    """
    tensors = [p.detach().cpu().double().flatten() for p in module.parameters() if p.ndim > 1]
    values = torch.cat(tensors).numpy() if tensors else np.zeros(0)
    if len(values) == 0:
        return pd.DataFrame(columns=["low", "high", "weights", "density"])
    reach = float(np.quantile(np.abs(values), 0.999)) or 1.0
    edges = np.linspace(-reach, reach, bins + 1)
    edges = np.concatenate([[min(values.min(), -reach * 1.001)], edges, [max(values.max(), reach * 1.001)]])
    counts = np.histogram(values, edges)[0]
    density = counts / len(values) / np.diff(edges)
    return pd.DataFrame({"low": edges[:-1], "high": edges[1:], "weights": counts, "density": density})


def barrier_interval(t: np.ndarray, values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of the barrier, over examples; it stays honest where the path is flat.

    The largest of noisy means lies above the largest of the true ones, the more so the flatter the path, and its
    interval has to know. With m and s the mean over examples of the rise above the straight line between the ends, and
    its standard error, at each t, three statements hold together with 95 %:

    - The highest point is one of those where m + c s reaches the largest m - c s, c from a band around all points at
      once (sup-t, 99.5 %).
    - The barrier is at least the largest m - c s among these and 0 of the ends, c from a band below all of them at once
      (97.75 %).
    - It is at most the largest m + z s among these, z the normal quantile (97.75 %) corrected for skewness (Hall 1992):
      wherever the highest point is, its own bound holds, so no more is needed.

    Bands are those of the bootstrap: examples are resampled together for all points. Points that do not vary count as
    they are. Empty where a value is not finite.

    Args:
        t: (points,), from 0 to 1.
        values: (points, examples).
        seed: draws the resamples.
    """
    examples = values.shape[1]
    rise = values.astype(np.float64)
    if not np.isfinite(rise).all():
        return np.nan, np.nan
    first, last = rise[0].copy(), rise[-1].copy()
    for row, along in zip(rise, t, strict=True):  # row by row and in place, to bound memory
        row -= (1 - along) * first + along * last
    mean = rise.mean(1)
    rise -= mean[:, None]
    error, skew = _error_and_skewness(rise, max(float(values.max()), -float(values.min())))
    varies = error > 0
    if varies.any():
        off = _resampled(rise, seed)[:, varies] / error[varies]
        around = np.quantile(np.abs(off).max(1), 1 - _CHOICE)
        may = mean + around * error >= max((mean - around * error).max(), 0.0)
        below = np.quantile(off[:, may[varies]].max(1), 1 - _SIDE) if may[varies].any() else 0.0
    else:
        may, below = np.full(len(mean), True), 0.0
    normal = NormalDist().inv_cdf(1 - _SIDE)
    above = normal + np.maximum(skew, 0) * (2 * normal**2 + 1) / (6 * examples**0.5)
    low, high = mean - below * error, mean + above * error
    return float(low[may].max(initial=0.0)), float(high[may].max(initial=0.0))


def _error_and_skewness(centred: np.ndarray, size: float) -> tuple[np.ndarray, np.ndarray]:
    """The standard error of each row's mean and the skewness of its values; 0 where only rounding makes it vary."""
    examples = centred.shape[1]
    error, skew = np.zeros((2, len(centred)))
    for i, row in enumerate(centred):  # row by row, as above
        square = row @ row / examples
        if square > (_ROUNDING * size) ** 2 and examples > 1:
            error[i] = (square / (examples - 1)) ** 0.5
            skew[i] = (row * row) @ row / examples / square**1.5
    return error, skew


def _resampled(centred: np.ndarray, seed: int) -> np.ndarray:
    """The means of resampled examples, (resamples, rows), one resample for all rows."""
    rng = np.random.default_rng(seed)
    examples = centred.shape[1]
    means = []
    for _ in range(_RESAMPLES // _BLOCK):
        drawn = rng.integers(examples, size=(_BLOCK, examples))
        counts = np.stack([np.bincount(row, minlength=examples) for row in drawn]).astype(np.float64)
        means.append(counts @ centred.T / examples)
    return np.concatenate(means)


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


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Write a CSV whole; floats in the shortest form that reads back equal."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def read_table(
    path: str | Path, columns: Sequence[str] = (), empty: Sequence[str] = (), row: Sequence[str] = ()
) -> pd.DataFrame:
    """Read a CSV exactly. Names are text, whatever they look like: a curve may be called `NA` or `1e5`.

    Args:
        path: the file.
        columns: those it must have, names in every row and numbers where there are numbers.
        empty: those of them that may lack a name.
        row: columns that together tell rows apart.

    Raises:
        PathfinderError: if the file is missing, no table, another one or a damaged one.
    """
    file = existing_file(path, "table")
    try:
        table = pd.read_csv(
            file,
            dtype=dict.fromkeys(_TEXT, str),
            keep_default_na=False,
            na_values=[""],
            low_memory=False,  # one type per column, whatever its length
        )
    except (ValueError, OverflowError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        reason = " ".join(str(error).split())[:200]
        raise PathfinderError(f"table {file} cannot be read ({reason}); run the experiment again.") from error
    if missing := [column for column in columns if column not in table]:
        raise PathfinderError(f"table {file} lacks the columns {listed(missing)}; run the experiment again.")
    if (damage := _damage(table, columns, empty, row)) is not None:
        raise PathfinderError(f"table {file} is damaged: {damage}; run the experiment again.")
    return table


def _damage(table: pd.DataFrame, columns: Sequence[str], empty: Sequence[str], row: Sequence[str]) -> str | None:
    """What cannot be in a table that was written here."""
    if not isinstance(table.index, pd.RangeIndex):
        return "rows have more cells than the header"
    for column in table if len(table) else ():
        cells = table[column]
        if column in _TEXT:
            if column in columns and column not in empty and cells.isna().any():
                return f"`{column}` is missing in row {int(cells.isna().argmax()) + 1}"
            odd = [cell for cell in cells.dropna().unique() if not cell.isprintable() or len(cell) > _LONGEST]
            if odd:
                return f"`{column}` holds {odd[0][:40]!r}, which is no name"
        elif column == "converged":
            if not pd.api.types.is_bool_dtype(cells):
                return "`converged` must be True or False in every row"
        elif (column in columns or column.endswith(_MEASURED)) and not pd.api.types.is_numeric_dtype(cells):
            odd = next((cell for cell in cells if isinstance(cell, str)), cells.iloc[0])
            return f"`{column}` must hold numbers, got {str(odd)[:40]!r}"
    if row and table.duplicated(list(row)).any():
        return f"row {int(table.duplicated(list(row)).argmax()) + 1} is there twice, by {listed(row)}"
    return None


def check_file_names(table: pd.DataFrame, path: str | Path, columns: Sequence[str] = FILED) -> None:
    """Check names in a table of which names of files are made: a table may come from anywhere.

    Raises:
        PathfinderError: if one could lead elsewhere, as `../x` does.
    """
    for column in columns:
        for name in table[column].dropna().unique() if column in table else ():
            if not _FILE_NAME.fullmatch(name):
                raise PathfinderError(
                    f"`{column}` in table {path} must be a name of letters, digits and . _ + : -, got {name[:40]!r}; "
                    "files are called after it."
                )


def _barrier(t: np.ndarray, values: np.ndarray) -> np.ndarray:
    """max over t of each row of values, (rows, points), above the straight line between its ends."""
    return (values - (1 - t) * values[:, :1] - t * values[:, -1:]).max(1)
