"""Two ways of scoring the same weights, by the rules that say how far they may differ."""

import math

import numpy as np
import pytest

from pathfinder.scoring.checks import PRECISION, STATISTICS, Difference, compare, largest
from pathfinder.scoring.means import Values


@pytest.mark.parametrize(
    ("expected", "found", "beyond"),
    [
        (1.0, 1.019, False),
        (1.0, 1.021, True),
        (0.0099, 0.0001, False),
        (0.0001, 0.0099, False),
        (0.0001, 2.0, True),  # a small loss that became large
        (2.0, 0.0001, True),
        (0.005, math.nan, True),
        (math.nan, 0.005, True),
    ],
)
def test_losses_differ_by_the_larger_of_both(expected, found, beyond):
    assert Difference("loss", "test", expected, found, 0.0).exceeds(PRECISION) == beyond


@pytest.mark.parametrize(
    ("metric", "found", "standard_error", "beyond"),
    [
        ("error", 10.4, 0.0, False),
        ("error", 10.6, 0.0, True),
        ("error", 10.6, 0.31, False),  # within two standard errors
        ("loss", 10.6, 0.29, True),
        ("loss", 10.4, 0.0, False),
        ("f1", 99.0, 0.0, False),
    ],
)
def test_statistics_differ_by_more_than_chance(metric, found, standard_error, beyond):
    assert Difference(metric, "test", 10.0, found, standard_error).exceeds(STATISTICS) == beyond


def test_differences_are_paired_by_example():
    rng = np.random.default_rng(0)
    first, off = rng.random(50), 0.1 * rng.random(50)
    error = ("error", "train")
    [loss, other] = compare(
        Values({("loss", "train"): first, error: first}), Values({("loss", "train"): first + off, error: first + 5})
    )
    assert loss.expected == pytest.approx(first.mean()) and loss.found == pytest.approx((first + off).mean())
    assert loss.standard_error == pytest.approx(off.std(ddof=1) / 50**0.5)
    assert largest([loss, other], PRECISION) is other  # errors come first
