"""How far chance may have moved a number."""

import numpy as np
import pytest

from viewfinder.evaluation import intervals
from viewfinder.evaluation.metrics import macro_f1


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [
        # Newcombe, Two-sided confidence intervals for the single proportion, 1998, table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_the_interval_of_a_share_is_wilsons(part: int, whole: int, low: float, high: float) -> None:
    assert intervals.of_share(part, whole) == pytest.approx((low, high), abs=1e-4)


def test_the_interval_of_a_mean_is_what_statistics_say() -> None:
    values = np.random.default_rng(1).normal(3, 2, 400)
    low, high = intervals.of_mean(values, seed=0)
    reach = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - reach, abs=0.05)
    assert high == pytest.approx(values.mean() + reach, abs=0.05)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(30.0)
    assert intervals.of_mean(values, seed=4) == intervals.of_mean(values, seed=4)
    assert intervals.of_mean(values, seed=4) != intervals.of_mean(values, seed=5)


def test_the_interval_of_macro_f1_is_that_of_resampled_photos() -> None:
    confusion = np.array([[30, 5, 0], [2, 20, 3], [0, 0, 8]])
    cells = np.repeat(np.arange(9), confusion.ravel())
    random = np.random.default_rng(7)
    slowly = [
        macro_f1(np.bincount(random.choice(cells, len(cells)), minlength=9).reshape(3, 3))
        for _ in range(1000)
    ]
    low, high = intervals.of_macro_f1(confusion, seed=0)
    assert low == pytest.approx(np.percentile(slowly, 2.5), abs=0.02)
    assert high == pytest.approx(np.percentile(slowly, 97.5), abs=0.02)
    assert low < macro_f1(confusion) < high


def test_the_interval_of_a_difference_looks_at_pairs() -> None:
    # The two differ on 12 of 1,000 photos: however hard the photos are, it is a narrow interval.
    low, high = intervals.of_difference(2, 10, 1000, seed=0)
    assert 0 < low < 0.008 < high < 0.016
    assert intervals.of_difference(0, 0, 50, seed=0) == (0.0, 0.0)
