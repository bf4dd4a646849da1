"""Temperature and threshold, where the truth is known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from viewfinder.engines.base import to_confidence
from viewfinder.evaluation.calibration import abstain_threshold, fit_temperature
from viewfinder.evaluation.scoring import confidences

Logits = NDArray[np.float32]
Targets = NDArray[np.int64]


def _drawn(temperature: float, photos: int, classes: int = 6) -> tuple[Logits, Targets]:
    """Logits whose softmax at that temperature is the truth, from which targets are drawn."""
    random = np.random.default_rng(3)
    logits = random.normal(0, 2, (photos, classes))
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    truth = weights / weights.sum(axis=1, keepdims=True)
    targets = (truth.cumsum(axis=1) > random.random((photos, 1))).argmax(axis=1)
    return (logits * temperature).astype(np.float32), targets


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    scores, targets = _drawn(temperature, 5000)
    found = fit_temperature(scores, targets, output="logits")
    assert found == pytest.approx(temperature, rel=0.08)


def test_probabilities_have_the_temperature_of_their_logits() -> None:
    scores, targets = _drawn(2.0, 3000)
    probabilities = to_confidence(scores, output="logits", temperature=1.0)
    assert fit_temperature(probabilities, targets, output="probabilities") == pytest.approx(
        fit_temperature(scores, targets, output="logits"), rel=0.01
    )


@pytest.mark.parametrize("photos", [5, 50, 1000])
def test_answers_that_are_all_right_are_not_made_certain(photos: int) -> None:
    targets = np.arange(photos) % 4
    scores = np.eye(4, dtype=np.float32)[targets] * 8
    assert 0.3 < fit_temperature(scores, targets, output="logits") <= 1.05


def test_five_photos_move_the_temperature_little() -> None:
    wrong = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]] * 3
    assert 1 < fit_temperature(wrong, np.array([1, 2, 0, 1, 2]), output="logits") < 6
    right = fit_temperature(wrong, np.array([0, 1, 2, 0, 1]), output="logits")
    assert 0.5 < right < 1


def test_without_photos_nothing_changes() -> None:
    none = np.zeros((0, 3), np.float32), np.zeros(0, np.int64)
    assert fit_temperature(*none, output="logits") == 1.0


def test_one_class_is_no_matter() -> None:
    scores = np.ones((8, 1), np.float32)
    found = fit_temperature(scores, np.zeros(8, np.int64), output="logits")
    assert found == pytest.approx(1.0, rel=0.01)


def test_confidence_is_that_of_serving_to_the_last_bit() -> None:
    for classes in (2, 3, 10, 17, 1000):
        scores = np.random.default_rng(0).normal(0, 4, (33, classes)).astype(np.float32)
        together = confidences(scores, output="logits", temperature=1.37)
        for row, one in zip(scores, together, strict=True):
            alone = to_confidence(row[np.newaxis], output="logits", temperature=1.37)[0]
            assert alone.tobytes() == one.tobytes()


# abstain_threshold


def _answers(pairs: list[tuple[float, bool, int]]) -> tuple[NDArray[np.float64], Targets]:
    """Confidence in the first of two classes, whether that is right, and how often."""
    tops = np.repeat([top for top, _, _ in pairs], [n for _, _, n in pairs])
    right = np.repeat([ok for _, ok, _ in pairs], [n for _, _, n in pairs])
    return np.stack([tops, 1 - tops], axis=1), np.where(right, 0, 1)


def test_the_threshold_halves_the_rate_of_wrong_answers() -> None:
    # 20% are wrong; without those 0.6 sure, 8 of 80.
    confidence, targets = _answers(
        [(0.9, True, 72), (0.9, False, 8), (0.6, False, 12), (0.6, True, 8)]
    )
    threshold = abstain_threshold(confidence, targets)
    assert threshold == pytest.approx(0.75)


def test_the_threshold_is_the_lowest_that_does() -> None:
    confidence, targets = _answers(
        [(0.99, True, 40), (0.9, True, 20), (0.8, True, 20), (0.7, False, 10), (0.6, True, 10)]
    )
    threshold = abstain_threshold(confidence, targets)
    # 10% are wrong; with the first two of those ten, 2 of 82 would still do, but they are equal.
    assert threshold == pytest.approx(0.75)


def test_few_mistakes_give_no_threshold() -> None:
    assert abstain_threshold(*_answers([(0.9, True, 50), (0.6, False, 4)])) is None
    assert abstain_threshold(*_answers([(0.9, True, 50), (0.6, False, 5)])) is not None


def test_no_more_than_half_goes_without_an_answer() -> None:
    # Only the surest fifth is better than the rest.
    confidence, targets = _answers([(0.9, True, 20), (0.6, True, 40), (0.6, False, 40)])
    assert abstain_threshold(confidence, targets) is None


def test_confidence_that_says_nothing_gives_no_threshold() -> None:
    assert abstain_threshold(*_answers([(0.8, True, 30), (0.8, False, 30)])) is None
    # The surest are the wrong ones.
    assert abstain_threshold(*_answers([(0.9, False, 30), (0.6, True, 30)])) is None
