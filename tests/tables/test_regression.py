"""Means of a path over all examples, estimated from some of them."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from pathfinder import PathfinderError, summarize
from pathfinder.scoring.scores import Scores
from pathfinder.tables.intervals import barrier_interval
from pathfinder.tables.regression import on_all_examples

T = np.linspace(0, 1, 9)
KNOWN = [0, 3, 8]


def scores_of(values, t=T, weights=None):
    """The scores of a path whose examples have these losses, (points, examples)."""
    table = pd.DataFrame({"t": t, "arc_length": t, "train_loss": np.average(values, 1, weights)})
    table = table.assign(batch_norm_examples=0)
    given = {} if weights is None else {("loss", "train"): weights}
    return Scores(table, {("loss", "train"): values}, length=1.0, chord=1.0, kind="line", weights=given)


def losses(rng, examples, depth=2):
    """Losses that go together along a path, by a few traits of each example."""
    traits = rng.exponential(size=(depth, examples))
    shapes = np.stack([1 + np.sin((k + 1) * T) for k in range(depth)], 1)
    return shapes @ traits


def on_all(few, everything, weights=None):
    return on_all_examples(few, scores_of(everything[KNOWN], T[KNOWN], weights), "loss", "train")


def test_losses_that_follow_from_those_at_the_known_points_are_found_exactly():
    everything = losses(np.random.default_rng(0), 5000)
    found = on_all(scores_of(everything[:, :50]), everything)
    assert found == pytest.approx(everything.mean(1), rel=1e-9)
    assert np.abs(everything[:, :50].mean(1) / everything.mean(1) - 1).max() > 0.01


def test_known_points_are_taken_as_they_are_and_without_a_difference_nothing_changes():
    everything = losses(np.random.default_rng(1), 300) + np.random.default_rng(2).random((9, 300))
    found = on_all(scores_of(everything[:, :40]), everything)
    assert (found[KNOWN] == everything.mean(1)[KNOWN]).all()
    assert on_all(scores_of(everything), everything) == pytest.approx(everything.mean(1), rel=1e-12)


def test_the_estimate_is_closer_than_the_sample_and_off_to_neither_side():
    rng, off, plain = np.random.default_rng(3), [], []
    for _ in range(300):
        everything = losses(rng, 4000, depth=5) + rng.exponential(size=(9, 4000))
        some = scores_of(everything[:, rng.permutation(4000)[:200]])
        off.append(on_all(some, everything) - everything.mean(1))
        plain.append(some.table["train_loss"] - everything.mean(1))
    off, plain, between = np.array(off), np.array(plain), [i for i in range(9) if i not in KNOWN]
    assert (off.std(0)[between] < 0.55 * plain.std(0)[between]).all()
    assert (np.abs(off.mean(0)) < 4 * off.std(0) / 300**0.5 + 1e-12).all()


def test_weighted_examples_count_by_their_weights():
    everything, weights = losses(np.random.default_rng(4), 5000), np.random.default_rng(5).random(5000)
    some = scores_of(everything[:, :50], weights=weights[:50])
    wanted = np.average(everything, 1, weights)
    assert on_all(some, everything, weights) == pytest.approx(wanted, rel=1e-9)
    assert np.abs(some.table["train_loss"] / wanted - 1).max() > 0.01


def shifted(values, by):
    """Scores at the known points whose means are off by so much."""
    found = scores_of(values, T[KNOWN])
    return dataclasses.replace(found, table=found.table.assign(train_loss=found.table["train_loss"] + by))


def test_an_estimate_lies_within_the_values_of_the_examples():
    values = np.random.default_rng(6).random((9, 30))
    found = on_all_examples(scores_of(values), shifted(values[KNOWN], -5 * np.ones(3)), "loss", "train")
    between = [i for i in range(9) if i not in KNOWN]
    assert (found[between] >= values.min()).all() and (found[KNOWN] < 0).all()


def test_points_that_are_not_finite_are_left_as_they_are():
    everything = losses(np.random.default_rng(7), 5000)
    for broken in (4, 3):
        values = everything.copy()
        values[broken, 3] = np.inf
        found, wanted = on_all(scores_of(values[:, :50]), values), everything.mean(1)
        wanted[broken] = np.inf
        kept = [0, 3, 8] if broken == 3 else [i for i in range(9) if i != 4]
        assert found[kept] == pytest.approx(wanted[kept], rel=1e-9) and found[broken] == np.inf
        assert np.isfinite(np.delete(found, broken)).all()


def test_a_point_that_was_not_scored_on_some_is_refused():
    values = np.random.default_rng(8).random((9, 30))
    with pytest.raises(PathfinderError, match=r"t = 0\.3 was scored on all examples but not on some"):
        on_all_examples(scores_of(values), scores_of(values[KNOWN], np.array([0, 0.3, 1])), "loss", "train")


def test_a_summary_follows_the_points_that_all_examples_were_scored_at():
    everything = losses(np.random.default_rng(9), 3000)
    some, known = scores_of(everything[:, :100]), scores_of(everything[KNOWN], T[KNOWN])
    row = summarize({"line": some}, rescored={"line": known}).iloc[0]
    means = everything.mean(1)
    assert row["examples"] == 100 and row["examples_rescored"] == 3000
    assert row["max"] == means[KNOWN].max() and row["argmax"] == T[KNOWN][means[KNOWN].argmax()]
    assert row["start"] == means[0] and row["end"] == means[-1]
    rise = means - (1 - T) * means[0] - T * means[-1]
    assert row["barrier"] == pytest.approx(rise[KNOWN].max()) and row["barrier"] < rise.max()
    low, high = barrier_interval(T[KNOWN], everything[KNOWN])
    assert (row["barrier_low"], row["barrier_high"]) == (low, high) and low <= row["barrier"] <= high
    assert row["integral"] == pytest.approx(np.trapezoid(means, T)) and row["midpoint"] == pytest.approx(
        means[4] - (means[0] + means[-1]) / 2
    )
    plain = summarize({"line": some}).iloc[0]
    assert "examples_rescored" not in plain and abs(plain["integral"] / row["integral"] - 1) > 0.01
    two = summarize({"line": some, "other": some}, rescored={"line": known})
    assert two["examples_rescored"].isna().tolist() == [False, True]
    assert two.loc[1, "max"] == plain["max"]
    with pytest.raises(PathfinderError, match="0 and 1 among them"):
        summarize({"line": some}, rescored={"line": scores_of(everything[3:8:4], T[3:8:4])})
    with pytest.raises(PathfinderError, match="paths that were not scored: `other`"):
        summarize({"line": some}, rescored={"other": known})


def test_a_loss_that_is_not_finite_stays_in_the_summary():
    values = losses(np.random.default_rng(10), 50)
    values[5, 0] = np.nan  # not among the points on all examples
    row = summarize({"line": scores_of(values)}, rescored={"line": scores_of(values[KNOWN], T[KNOWN])}).iloc[0]
    assert np.isnan(row["max"]) and np.isnan(row["barrier"]) and row["argmax"] == T[5]
