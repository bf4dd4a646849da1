"""Scores to confidence: temperature and softmax, in one place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewfinder.engines.base import to_confidence


def test_softmax() -> None:
    logits = np.log(np.array([1, 2, 5], np.float32))
    assert to_confidence(logits, output="logits", temperature=1).tolist() == pytest.approx(
        [0.125, 0.25, 0.625]
    )


def test_a_higher_temperature_is_humbler_and_keeps_the_order() -> None:
    logits = np.array([1, 3, 2], np.float32)
    sure = to_confidence(logits, output="logits", temperature=1)
    humble = to_confidence(logits, output="logits", temperature=2)
    assert humble.max() < sure.max()
    assert (humble.argsort() == sure.argsort()).all()


def test_probabilities_stay_as_they_are_at_temperature_one() -> None:
    given = np.array([0.0, 0.25, 0.75], np.float32)
    assert to_confidence(given, output="probabilities", temperature=1).tolist() == pytest.approx(
        [0, 0.25, 0.75], abs=1e-6
    )


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=50),
    st.floats(0.125, 8),
)
def test_confidence_is_finite_and_sums_to_one(logits: list[float], temperature: float) -> None:
    confidence = to_confidence(
        np.array(logits, np.float32), output="logits", temperature=temperature
    )
    assert confidence.dtype == np.float32
    assert (confidence >= 0).all()
    assert confidence.sum() == pytest.approx(1, abs=1e-4)
