import math

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import Bowl, bowl_loss

from pathfinder import Evaluator, Line, PathfinderError, PolyChain, WeightSpace, summarize
from pathfinder.tables.csv_files import read_table, write_table
from pathfinder.tables.intervals import barrier_interval
from pathfinder.tables.summary import peaks, read_off, replicates
from pathfinder.weights.histogram import weight_histogram

T = np.linspace(0, 1, 5)


def scores(path, points=5):
    """A path over the bowl |theta|^2 / 2; four examples lie 0, 1, 2 and 3 above it."""
    data = {"train": (torch.arange(4.0)[:, None], torch.zeros(4))}
    return Evaluator(WeightSpace(Bowl(2)), data, loss=bowl_loss).score(path, points)


def test_a_histogram_holds_every_weight_once_and_its_density_is_one():
    module = torch.nn.Sequential(torch.nn.Linear(50, 40), torch.nn.BatchNorm1d(40), torch.nn.Linear(40, 3))
    with torch.no_grad():
        module[0].weight[0, 0] = 9.0
    found = weight_histogram(module)
    assert found["weights"].sum() == 50 * 40 + 40 * 3 and found["high"].iloc[-1] >= 9
    assert (found["density"] * (found["high"] - found["low"])).sum() == pytest.approx(1)
    assert np.allclose(found["low"].iloc[1:], found["high"].iloc[:-1])
    inner = found.iloc[1:-1]
    assert np.allclose(inner["low"], -inner["high"].iloc[::-1]) and np.ptp(inner["high"] - inner["low"]) < 1e-9


def test_peaks_are_the_worst_points_between_the_ends():
    t = [-0.5, 0, 0.25, 0.5, 0.75, 1, 1.5]
    table = pd.DataFrame({"t": t, "train_loss": [9, 8, 1, 3, 2, 8, 9], "test_error": [9, 8, 4, 3, 4, 8, 9.0]})
    assert peaks(table.assign(train_loss_se=1.0, test_examples=5)) == [0.25, 0.5]
    assert peaks(table[table["t"].isin([0, 1])]) == []
    assert peaks(table.assign(train_loss=float("nan"))) == peaks(table.drop(columns="train_loss"))
    uneven = pd.DataFrame({"t": [0, 0.3, 0.6, 0.9, 1], "train_loss": [0, 1.4, 1.3, 1.8, 2.0]})
    assert peaks(uneven) == [0.3, 0.9]  # the largest rise above the line between the ends, and the largest loss
    uneven.loc[2, "train_loss"] = np.nan
    assert peaks(uneven) == [0.6]


def test_every_number_of_a_line_over_a_bowl():
    summary = summarize({"line": scores(Line(torch.tensor([-1.0, 0.0]), torch.tensor([3.0, 0.0])))}, pair="p")
    row = summary.iloc[0]
    # x = -1, 0, 1, 2, 3 gives the loss x^2 / 2 + 1.5
    values = np.array([0.5, 0, 0.5, 2, 4.5]) + 1.5
    wanted = {
        "pair": "p", "path": "line", "split": "train", "metric": "loss", "start": 2.0, "end": 6.0, "min": 1.5,
        "max": 6.0, "mean": values.mean(), "integral": (values[1:] + values[:-1]).mean() / 2, "argmax": 1.0,
        "barrier": 0.0, "barrier_low": 0.0, "barrier_high": 0.0, "barrier_mean": 6.0 - 4.0, "midpoint": 2.0 - 4.0,
        "length": 4.0, "length_ratio": 1.0, "examples": 4, "batch_norm_examples": 0,
        "batch_norm": "none",
    }  # fmt: skip
    assert list(summary.columns) == list(wanted)
    for name, value in wanted.items():
        assert row[name] == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value), name


def test_a_mountain_has_its_height_whatever_the_examples():
    # a chain from (1, 0) over (3, 4) to (2, 0): the losses 0.5, ..., 12.5 at the bend, ..., 2
    chain = PolyChain(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.0]), bends=torch.tensor([[3.0, 4.0]]))
    row = summarize({"chain": scores(chain)}).iloc[0]
    assert row["barrier"] == pytest.approx(12.5 - (0.5 + 2) / 2) and row["argmax"] == 0.5
    assert row["max"] == pytest.approx(12.5 + 1.5) and row["midpoint"] == row["barrier"] == row["barrier_mean"]
    assert row["length"] == pytest.approx(20**0.5 + 17**0.5) and row["length_ratio"] == pytest.approx(row["length"])
    # every example has the same mountain, so the interval has no width
    assert row["barrier_low"] == pytest.approx(row["barrier"]) == row["barrier_high"]


def test_integral_is_weighted_by_the_distance_walked():
    found = read_off(np.array([0, 0.5, 1]), np.array([0.0, 1.0, 4.0]), np.array([0.0, 2.0, 4.0]))
    assert found["integral"] == pytest.approx((1 * 1 + 3 * 3) / 4) and found["mean"] == 2


def test_mean_barrier_and_linear_barrier_differ_by_at_most_half_the_ends():
    rng = np.random.default_rng(0)
    for values in rng.random((50, 5)):
        found = read_off(T, T, values)
        assert abs(found["barrier"] - found["barrier_mean"]) <= abs(values[0] - values[-1]) / 2 + 1e-12
    straight = read_off(T, T, 1 + 3 * T)
    assert straight["barrier"] == pytest.approx(0) and straight["barrier_mean"] == pytest.approx(1.5)


def test_interval_covers_the_truth_as_often_as_it_says():
    # barrier of one inner point: the mean of a normal variable, so its interval is mean -+ 1.96 sd / sqrt(n)
    rng = np.random.default_rng(1)
    heights = 2 + rng.standard_normal(400)
    values = np.stack([np.zeros(400), heights, np.zeros(400)])
    low, high = barrier_interval(np.array([0, 0.5, 1]), values)
    half = 1.96 * heights.std(ddof=1) / 400**0.5
    assert low == pytest.approx(heights.mean() - half, abs=0.02)
    assert high == pytest.approx(heights.mean() + half, abs=0.02)
    assert barrier_interval(np.array([0, 0.5, 1]), values) == (low, high)


def test_examples_are_resampled_together():
    # each example is high at one point only where it is low at the ends: paired, the barrier is certain
    ends = np.random.default_rng(2).random(100) * 10
    low, high = barrier_interval(np.array([0, 0.5, 1]), np.stack([ends, ends + 1, ends]))
    assert low == pytest.approx(1) == high


def noisy_losses(height, examples, seed, spread=0.1, points=21):
    """Losses of some examples along a path of that height inside, with noise of their own at every point."""
    rng = np.random.default_rng(seed)
    inside = np.zeros(points)
    inside[1:-1] = height
    return np.linspace(0, 1, points), inside[:, None] + spread * rng.standard_normal((points, examples))


def test_a_path_without_a_barrier_has_an_interval_with_none():
    held = [barrier_interval(*noisy_losses(0.0, 200, seed), seed)[0] == 0 for seed in range(20)]
    assert sum(held) >= 18  # the chance of fewer is 2 % at 97.75 % each; a percentile bootstrap holds it never


def test_the_height_of_a_plateau_lies_in_its_interval():
    ends = [barrier_interval(*noisy_losses(1.0, 200, seed), seed) for seed in range(20)]
    assert sum(low <= 1 <= high for low, high in ends) >= 18


def test_a_peak_has_hardly_a_wider_interval_than_if_it_were_known():
    t = np.linspace(0, 1, 21)
    heights = 1 + 0.5 * np.random.default_rng(3).standard_normal(300)
    low, high = barrier_interval(t, np.sin(np.pi * t)[:, None] ** 2 * heights)
    half = 1.96 * heights.std(ddof=1) / 300**0.5
    assert 2 * half < high - low < 1.15 * 2 * half
    assert low == pytest.approx(heights.mean() - half, rel=0.02) and high == pytest.approx(
        heights.mean() + half, rel=0.02
    )


def test_rare_errors_have_an_upper_end_far_above_what_was_seen():
    errors = np.zeros((3, 200))
    errors[1, :2] = 100.0  # two of 200: a true rate of 3 % shows so few once in 16 times
    low, high = barrier_interval(np.array([0, 0.5, 1]), errors)
    assert low == 0 and 2.8 < high < 4


def test_what_does_not_vary_has_no_width():
    t, flat = np.linspace(0, 1, 5), np.ones((5, 40))
    assert barrier_interval(t, flat) == (0, 0)
    assert barrier_interval(t, flat + np.array([0, 0, 2.0, 0, 0])[:, None]) == (2, 2)
    one = np.array([[0.0], [3.0], [1.0]])
    assert barrier_interval(np.array([0, 0.5, 1]), one) == (2.5, 2.5)
    # a point that is the same for all, and higher than all others can be, decides alone
    noisy = noisy_losses(0.0, 100, 0, points=5)[1]
    noisy[[0, -1]] = 0
    noisy[2] = 7.0
    assert barrier_interval(t, noisy) == (7, 7)


def test_an_interval_over_losses_that_overflow_is_empty():
    values = np.ones((3, 10))
    values[1, 4] = np.inf
    assert np.isnan(barrier_interval(np.array([0, 0.5, 1]), values)).all()


def test_an_interval_is_drawn_by_its_seed_and_holds_the_barrier():
    t, values = noisy_losses(0.3, 150, 5)
    assert barrier_interval(t, values, 1) == barrier_interval(t, values.copy(), 1) != barrier_interval(t, values, 2)
    for height in (0.0, 0.05, 1.0):
        t, values = noisy_losses(height, 150, 6)
        low, high = barrier_interval(t, values)
        assert 0 <= low <= read_off(t, t, values.mean(1))["barrier"] <= high


def test_points_outside_are_drawn_but_not_summarised():
    line = Line(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0]))
    wide = scores(line, line.grid(9, -0.5, 1.5))
    assert wide.table["train_loss"].max() > 3
    assert summarize({"line": wide})["max"][0] == pytest.approx(2.0)
    with pytest.raises(PathfinderError, match="0 and 1 among them"):
        summarize({"line": scores(line, torch.tensor([0.2, 0.8], dtype=torch.float64))})


def test_midpoint_is_empty_where_it_was_not_scored():
    line = Line(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 0.0]))
    assert math.isnan(summarize({"line": scores(line, 4)})["midpoint"][0])


def test_replicates_are_means_and_deviations_over_pairs():
    rows = [
        {"group": "g", "pair": f"g-{i}", "path": "line", "split": "train", "metric": "loss", "start": 1.0}
        | {"barrier": barrier, "barrier_low": barrier - 1, "barrier_high": barrier + 2}
        for i, barrier in enumerate([1.0, 2.0, 6.0])
    ]
    names = ["end", "min", "max", "mean", "integral", "argmax", "barrier_mean", "midpoint", "length", "length_ratio"]
    table = replicates(pd.DataFrame(rows).assign(**dict.fromkeys(names, 0.0))).set_index("quantity")
    barrier = table.loc["barrier"]
    assert (barrier["mean"], barrier["min"], barrier["max"], barrier["pairs"]) == (3, 1, 6, 3)
    assert barrier["std"] == pytest.approx(7**0.5) and (barrier["low"], barrier["high"]) == (2, 5)
    assert table.loc["start", "std"] == 0 and math.isnan(table.loc["start", "low"])


def test_a_table_comes_back_equal_with_its_header(tmp_path):
    table = scores(Line(torch.tensor([0.1, 0.0]), torch.tensor([1 / 3, 0.7]))).table
    write_table(tmp_path / "paths.csv", table)
    back = read_table(tmp_path / "paths.csv")
    pd.testing.assert_frame_equal(back, table, check_exact=True)
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(PathfinderError, match=r"empty.csv cannot be read"):
        read_table(tmp_path / "empty.csv")
