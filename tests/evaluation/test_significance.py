"""Whether one model is better than another, or was only lucky."""

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewfinder.evaluation.significance import compare, mcnemar


@pytest.mark.parametrize(
    ("first", "second", "p"),
    [(0, 0, 1.0), (0, 5, 0.0625), (1, 9, 22 / 1024), (3, 3, 1.0), (0, 1, 1.0)],
)
def test_the_p_value_is_that_of_tossed_coins(first: int, second: int, p: float) -> None:
    assert mcnemar(first, second) == pytest.approx(p)
    assert mcnemar(second, first) == pytest.approx(p)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_p_value_is_exact(first: int, second: int) -> None:
    tosses, fewer = first + second, min(first, second)
    exact = min(1.0, 2 * sum(comb(tosses, heads) for heads in range(fewer + 1)) / 2**tosses)
    assert mcnemar(first, second) == pytest.approx(exact, rel=1e-9)


def test_thousands_of_photos_are_no_matter() -> None:
    assert 0 < mcnemar(20_000, 20_400) < 0.05
    assert mcnemar(0, 5000) == 0.0


def test_only_photos_that_one_of_both_has_right_count() -> None:
    first = np.array([True] * 50 + [False] * 10 + [True] * 2 + [False] * 38)
    second = np.array([True] * 50 + [True] * 10 + [False] * 2 + [False] * 38)
    found = compare(first, second, seed=0)
    assert (found.only_first, found.only_second, found.photos) == (2, 10, 100)
    assert found.difference == pytest.approx(0.08)
    assert found.low < 0.08 < found.high
    assert found.p_value == mcnemar(2, 10)
