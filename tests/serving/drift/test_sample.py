"""`Sample`: a share of a rush, all of what comes slowly."""

from collections.abc import Sequence

import numpy as np

from viewfinder.serving.drift.sample import Sample


def _chosen(rates: Sequence[int], per_second: float) -> list[int]:
    """How many are chosen in each second in which so many come, evenly."""
    now = 0.0
    sample = Sample(per_second, clock=lambda: now, chance=np.random.default_rng(0).random)
    found = []
    for second, rate in enumerate(rates):
        found.append(0)
        for number in range(rate):
            now = second + number / rate
            found[-1] += sample.chosen()
    return found


def test_all_of_what_comes_slowly_is_chosen() -> None:
    assert _chosen([20, 5, 1, 20, 0, 3], 20) == [20, 5, 1, 20, 0, 3]


def test_of_a_rush_about_as_many_as_asked_for_after_its_first_second() -> None:
    first, *later = _chosen([1000] * 20, 20)
    assert first == 1000
    assert 15 < sum(later) / len(later) < 25


def test_after_a_rush_all_is_chosen_again() -> None:
    assert _chosen([1000, 1000, 10, 10], 20)[-1] == 10


def test_what_is_chosen_is_spread_over_the_second() -> None:
    now = 0.0
    sample = Sample(50, clock=lambda: now, chance=np.random.default_rng(0).random)
    moments = []
    for number in range(10_000):
        now = number / 1000
        if sample.chosen() and number >= 1000:
            moments.append(now % 1)
    assert 0.4 < sum(moments) / len(moments) < 0.6


def test_a_rush_after_a_silence_is_not_looked_at_whole_again() -> None:
    silence = [0] * 10
    *_, again = _chosen([200, *silence, 200], 20)
    assert again < 40
