"""The tables of a race."""

import numpy as np
import pandas as pd
import pytest

from pathfinder.tables.race import Entry, method_table, race_table

LARGEST = {  # of each pair, by method and budget
    "ours": {5: (0.9, 0.3), 10: (0.4, 0.2)},
    "theirs": {5: (2.0, 2.0), 10: (0.7, 0.6), 20: (0.6, 0.2)},
    "never": {5: (0.7, 9.0)},
}


def raced():
    entries, summary, paths = [], [], []
    for method, budgets in LARGEST.items():
        for epochs, values in budgets.items():
            for pair, largest in zip("ab", values, strict=True):
                path = f"{method}-{epochs}"
                entries.append(Entry(pair, path, method, epochs, steps=3 * epochs, passes=float(epochs)))
                known = {"group": "g", "pair": pair, "path": path, "length": 2.0, "argmax": 0.5}
                summary.append({**known, "split": "train", "metric": "loss", "max": largest})
                summary.append({**known, "split": "test", "metric": "loss", "max": 99.0})
                paths += [{"pair": pair, "path": path, "t": t, "train_loss_se": 0.1 * t} for t in (0.0, 0.5, 1.0)]
    return race_table(entries, pd.DataFrame(summary), pd.DataFrame(paths), "theirs", examples=1000)


def test_the_target_is_the_median_of_the_reference_at_its_largest_budget_which_half_of_the_pairs_meet():
    race = raced()
    assert np.allclose(race["target"], 0.6) and race["met"].tolist() == (race["max"] <= 0.6).tolist()
    assert race["examples"].tolist() == (1000 * race["epochs"]).tolist()
    assert np.allclose(race["max_high"] - race["max"], 1.96 * 0.05) and np.allclose(
        race["max"] - race["max_low"], 1.96 * 0.05
    )


def test_the_smallest_budget_that_meets_the_target_counts():
    methods = method_table(raced(), "theirs").set_index("method")
    assert methods.loc["ours", ["met", "passes", "passes_low", "passes_high"]].tolist() == [2, 7.5, 5, 10]
    assert methods.loc["theirs", ["met", "passes", "passes_low", "passes_high"]].tolist() == [2, 15, 10, 20]
    assert methods.loc["never", ["passes", "passes_low", "passes_high", "times_fewer"]].isna().all()
    assert methods["reference"].tolist() == [False, True, False]


def test_how_many_times_fewer_follows_from_the_medians():
    race = raced()
    race["met"] |= race["method"] == "theirs"  # now met by both pairs with 5 epochs
    methods = method_table(race, "theirs").set_index("method")
    assert methods.loc["ours", "times_fewer"] == pytest.approx(5 / 7.5)
    assert methods.loc["theirs", "times_fewer"] == 1


def test_a_pair_whose_curve_has_no_row_has_not_met_the_target():
    race = raced()
    gone = (race["method"] == "ours") & (race["pair"] == "b")
    ours = method_table(race[~gone], "theirs").set_index("method").loc["ours"]
    assert ours[["pairs", "met", "passes_low"]].tolist() == [2, 1, 10]
    assert np.isnan(ours["passes"]) and np.isnan(ours["passes_high"])
