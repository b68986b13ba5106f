"""Which way of connecting minima is flat enough first: the tables of a race."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pathfinder.scoring.means import STANDARD_ERRORS


@dataclass(frozen=True)
class Entry:
    """A path of a pair in a race.

    Attributes:
        pair: its pair.
        path: its name in the tables.
        method: how it was found; the budget left out.
        epochs: the budget.
        steps: steps that it took.
        passes: forward and backward passes over the training data that these were.
    """

    pair: str
    path: str
    method: str
    epochs: int
    steps: int
    passes: float


def race_table(
    entries: Sequence[Entry], summary: pd.DataFrame, paths: pd.DataFrame, reference: str, examples: int
) -> pd.DataFrame:
    """The rows of `race.csv`.

    Args:
        entries: all paths; their order is that of the rows.
        summary: the table `summary`.
        paths: the table `paths`, or another that has the largest values of `summary`.
        reference: the method whose largest loss, after its largest budget, is the target.
        examples: of the training data.
    """
    train = summary[(summary["split"] == "train") & (summary["metric"] == "loss")]
    rows = pd.DataFrame([vars(entry) for entry in entries]).merge(
        train[["group", "pair", "path", "length", "max", "argmax"]], on=["pair", "path"]
    )
    errors = paths[["pair", "path", "t", "train_loss_se"]].rename(columns={"t": "argmax"})
    rows = rows.merge(errors, on=["pair", "path", "argmax"])
    margin = STANDARD_ERRORS * rows["train_loss_se"]
    own = rows[rows["method"] == reference]
    last = own[own["epochs"] == own["epochs"].max()]
    targets = last.groupby("group")["max"].quantile(0.5, "higher")  # so that half of the pairs meet it
    rows = rows.assign(
        examples=(rows["passes"] * examples).round().astype(int),
        max_low=rows["max"] - margin,
        max_high=rows["max"] + margin,
        target=rows["group"].map(targets),
    )
    return rows.assign(met=rows["max"] <= rows["target"]).drop(columns=["argmax", "train_loss_se"])


def method_table(race: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The rows of `race_methods.csv`: the passes to the target, over the pairs of each group.

    Args:
        race: the table `race`.
        reference: the method that the others are compared with.
    """
    rows = []
    for group, own in race.groupby("group", sort=False):
        pairs = own["pair"].unique()
        needed = {
            method: np.array([_needed(found[found["pair"] == pair]) for pair in pairs])
            for method, found in own.groupby("method", sort=False)
        }
        typical = np.median(needed[reference])
        for method, passes in needed.items():
            low, middle, high = passes.min(), np.median(passes), passes.max()
            times = typical / middle if 0 < middle < np.inf else np.nan
            counted = {"reference": method == reference, "pairs": len(passes), "met": int(np.isfinite(passes).sum())}
            spread = {"passes": middle, "passes_low": low, "passes_high": high, "times_fewer": times}
            rows.append({"group": group, "method": method, **counted, **spread})
    return pd.DataFrame(rows).replace(np.inf, np.nan)


def _needed(rows: pd.DataFrame) -> float:
    """The passes of the smallest budget that met the target; infinite if none did."""
    met = rows[rows["met"]]
    return float(met["passes"].min()) if len(met) else np.inf
