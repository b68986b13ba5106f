"""How many examples a path needs, on losses whose spread is known, and against independent sums."""

import numpy as np
import pytest

from pathfinder.scoring.means import Values
from pathfinder.scoring.sample_size import enough_to_reestimate, enough_to_score


def path_of(losses, asked=None):
    """A path whose example i has the loss losses(t)[i]; the first n count."""

    def values(count, t):
        if asked is not None:
            asked.append((count, t.tolist()))
        return [Values({("loss", "train"): losses(at)[:count]}) for at in t.tolist()]

    return values


@pytest.mark.parametrize("tolerance", [0.1, 0.03, 0.02, 0.01, 0.005])
def test_examples_double_until_the_interval_of_the_rise_is_small_enough(tolerance):
    spread, asked = np.random.default_rng(0).exponential(size=10_000), []
    losses = lambda t: (1 + 4 * t * (1 - t) * spread).astype(np.float32)  # noqa: E731
    shares = {n: 1.96 * spread[:n].std(ddof=1) / n**0.5 / (1 + spread[:n].mean()) for n in (1000, 2000, 4000, 8000)}
    wanted = next((n for n, share in shares.items() if share <= tolerance), 10_000)
    assert enough_to_score(path_of(losses, asked), {"train": 10_000}, tolerance) == wanted
    assert [n for n, _ in asked] == [n for n in shares if n <= wanted]
    assert len(asked[0][1]) == 7 and all(t == [0, 0.5, 1] for _, t in asked[1:])


@pytest.mark.parametrize("test", [50, 999, 1000])
def test_a_split_without_more_examples_does_not_ask_for_more_of_the_others(test):
    spread = np.random.default_rng(0).exponential(size=3000)

    def values(count, t):
        rises = [4 * at * (1 - at) * spread for at in t.tolist()]
        return [
            Values({("loss", "test"): 1 + 9 * rise[: min(test, count)], ("loss", "train"): 1 + rise[:count]})
            for rise in rises
        ]

    assert enough_to_score(values, {"train": 3000, "test": test}, 0.04) == 1000
    assert enough_to_score(values, {"train": 3000, "test": 1001}, 0.04) == 2000


def test_weighted_examples_have_the_interval_of_a_weighted_mean():
    weights = np.r_[np.ones(500), np.zeros(1500)]
    spread = np.r_[np.zeros(500), np.full(1500, 1e6)]  # counts for nothing

    def values(count, t):
        found = [Values({("loss", "train"): 1 + at * (1 - at) * spread[:count]}) for at in t.tolist()]
        for one in found:
            one.weights = {("loss", "train"): weights[:count]}
        return found

    assert enough_to_score(values, {"train": 2000}) == 1000


def test_without_enough_examples_all_are_used():
    losses = lambda t: np.where(np.arange(1500) == 3, 1e4 * t * (1 - t), 0.1).astype(np.float32)  # noqa: E731
    assert enough_to_score(path_of(losses), {"train": 1500}) == 1500
    assert enough_to_score(path_of(lambda t: np.zeros(2000, np.float32)), {"train": 2000}) == 1000
    assert enough_to_score(path_of(lambda t: np.full(1001, np.nan, np.float32)), {"train": 1001}) == 1001
    assert enough_to_score(path_of(losses), {"train": 300}) == 300


def test_the_examples_that_reestimate_are_the_fewest_whose_scores_do_not_drift():
    asked = []

    def drifting(by):
        def values(count):
            asked.append(count)
            return [Values({("loss", "test"): np.full(10, 1 + by(count))}) for _ in range(3)]

        return values

    assert enough_to_reestimate(drifting(lambda count: 0), 50_000) == 1000
    assert sorted(asked) == [1000, 4000]  # and not all, which would cost more than it saves
    assert enough_to_reestimate(drifting(lambda count: 30 / count), 50_000) == 4000
    assert asked.count(4000) == 2  # once in each of the two
    assert enough_to_reestimate(drifting(np.log), 50_000) == 50_000
    assert enough_to_reestimate(drifting(lambda count: 0), 300) == 300
    errors = lambda count: [Values({("error", "test"): 100.0 * (np.arange(1000) < 40) * (count < 4000)})]  # noqa: E731
    assert enough_to_reestimate(errors, 5000) == 4000  # four points
    noise = np.repeat([1.0, -1.0], [516, 484])  # its mean is one standard error
    noisy = lambda count: [Values({("loss", "test"): 2 + noise * count / 4000})]  # noqa: E731
    assert enough_to_reestimate(noisy, 50_000) == 1000


def test_chance_alone_asks_for_no_more_examples_for_batch_norm():
    rng, keys = np.random.default_rng(0), [(m, s) for m in ("loss", "error") for s in ("train", "test")]

    def values(count):  # another draw of statistics moves each example a little, and the mean by chance only
        return [
            Values({key: 0.4 + (100 if key[0] == "error" else 1) * 0.1 * rng.standard_normal(1000) for key in keys})
            for _ in range(3)
        ]

    chosen = [enough_to_reestimate(values, 50_000) for _ in range(100)]
    assert chosen.count(1000) > 90
