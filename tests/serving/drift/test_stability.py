"""The population stability index, on distributions that are known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewfinder.registry.reference import Distribution, bin_of
from viewfinder.serving.drift.stability import (
    bins_for,
    join_classes,
    join_neighbours,
    level_of,
    stability_index,
)

MANY = 10_000_000
COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=10)


def _compared(before: np.ndarray, now: np.ndarray) -> float:
    """As a server does it: bins of the reference, as many as chance allows."""
    reference = Distribution.of(before.tolist())
    counts = np.bincount(
        [bin_of(reference.edges, value) for value in now.tolist()], minlength=len(reference.counts)
    )
    places = join_neighbours(reference.counts, bins_for(len(before), len(now)))
    return stability_index(
        np.bincount(places, weights=reference.counts).tolist(),
        np.bincount(places, weights=counts).tolist(),
    )


def test_it_is_the_sum_of_the_formula() -> None:
    by_hand = (0.5 - 0.2) * math.log(0.5 / 0.2) + (0.5 - 0.8) * math.log(0.5 / 0.8)
    assert stability_index([0.2 * MANY, 0.8 * MANY], [0.5 * MANY, 0.5 * MANY]) == pytest.approx(
        by_hand, abs=1e-5
    )


def test_of_normal_distributions_it_is_what_theory_says() -> None:
    # Of N(0, 1) and N(m, 1) the symmetric divergence is m squared; ten bins keep nearly all of it.
    chance = np.random.default_rng(0)
    found = _compared(chance.normal(0, 1, 20_000), chance.normal(0.5, 1, 20_000))
    assert 0.2 < found < 0.25


@given(COUNTS, st.data())
def test_it_is_a_finite_number_not_under_0(before: list[int], data: st.DataObject) -> None:
    now = data.draw(st.lists(st.integers(0, 500), min_size=len(before), max_size=len(before)))
    if not (sum(before) and sum(now)):
        return
    found = stability_index(before, now)
    assert math.isfinite(found)
    assert found >= 0
    assert stability_index(now, before) == pytest.approx(found)
    assert stability_index(before, before) == 0


@pytest.mark.parametrize(
    ("before", "now", "most"),
    [(340, 1000, 0.1), (1000, 1000, 0.1), (340, 250, 0.25), (100, 100, 0.45)],
)
def test_the_same_distribution_stays_low_whatever_the_luck(
    before: int, now: int, most: float
) -> None:
    found = []
    for seed in range(100):
        chance = np.random.default_rng(seed)
        found.append(_compared(chance.beta(2, 5, before), chance.beta(2, 5, now)))
    assert max(found) < most
    assert np.mean(found) < most / 8  # without the correction, chance alone would be over it


@pytest.mark.parametrize("now", [100, 300, 1000])
def test_another_distribution_is_found_however_few_the_photos(now: int) -> None:
    for seed in range(30):
        chance = np.random.default_rng(seed)
        assert _compared(chance.beta(2, 5, 340), chance.beta(5, 2, now)) > 0.25


def test_few_photos_are_compared_in_few_bins() -> None:
    assert [bins_for(340, photos) for photos in (100, 200, 300, 1000)] == [3, 5, 8, 10]
    assert bins_for(50, 100) == 3


@given(COUNTS, st.integers(2, 10))
def test_joined_bins_are_neighbours_and_none_is_left_out(counts: list[int], most: int) -> None:
    places = join_neighbours(counts, most)
    assert sorted(set(places)) == list(range(max(places) + 1))
    assert places == sorted(places)
    assert len(places) == len(counts)
    assert max(places) < most


def test_joined_bins_hold_about_equally_many() -> None:
    assert join_neighbours([10] * 10, 3) == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert join_neighbours([5, 5, 5, 5, 80], 2) == [0, 0, 0, 0, 1]


@given(
    st.dictionaries(st.integers(0, 99), st.integers(1, 50), min_size=1),
    st.integers(100, 130),
    st.integers(3, 10),
)
def test_every_class_is_in_one_bin(counts: dict[int, int], classes: int, most: int) -> None:
    groups = join_classes(counts, classes, most)
    assert len(groups) <= most
    assert sorted(index for group in groups for index in group) == list(range(classes))


def test_a_frequent_class_has_a_bin_of_its_own() -> None:
    groups = join_classes({7: 60, 3: 20, 40: 10, 90: 10}, 100, 4)
    assert groups[0] == [7]
    assert len(groups) == 4
    assert join_classes({0: 5}, 3, 10) == [[0], [1], [2]]


def test_among_a_thousand_rare_classes_other_classes_are_seen() -> None:
    for seed in range(20):
        chance = np.random.default_rng(seed)
        before = np.bincount(chance.integers(0, 1000, 400), minlength=1000)
        same = np.bincount(chance.integers(0, 1000, 1000), minlength=1000)
        others = np.bincount(chance.choice(chance.integers(0, 1000, 20), 1000), minlength=1000)
        counted = {index: int(count) for index, count in enumerate(before) if count}
        groups = join_classes(counted, 1000, bins_for(400, 1000))
        shares = [
            [int(counts[group].sum()) for group in groups] for counts in (before, same, others)
        ]
        assert stability_index(shares[0], shares[1]) < 0.1
        assert stability_index(shares[0], shares[2]) > 0.25


@pytest.mark.parametrize(
    ("index", "level"),
    [
        (0, "stable"),
        (0.0999, "stable"),
        (0.1, "moderate"),
        (0.25, "moderate"),
        (0.26, "significant"),
    ],
)
def test_the_levels(index: float, level: str) -> None:
    assert level_of(index) == level
