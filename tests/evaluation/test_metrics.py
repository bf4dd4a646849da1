"""Numbers against what can be worked out by hand, and against what must always hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from viewfinder.evaluation import metrics

# Four photos of three classes: right, right, wrong (2 taken for 0), wrong (1 taken for 2).
CONFIDENCE = np.array(
    [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.1, 0.4], [0.2, 0.3, 0.5]], np.float32
)
TARGETS = np.array([0, 1, 2, 1])
RIGHT = np.array([True, True, False, False])
TOP = CONFIDENCE.max(axis=1).astype(np.float64)


def test_an_answer_is_right_if_its_best_class_is() -> None:
    assert metrics.is_right(CONFIDENCE, TARGETS).tolist() == RIGHT.tolist()


def test_the_right_class_is_looked_for_among_the_best_k() -> None:
    assert metrics.is_in_top(CONFIDENCE, TARGETS, 1).tolist() == RIGHT.tolist()
    assert metrics.is_in_top(CONFIDENCE, TARGETS, 2).all()
    assert (metrics.top_k(3), metrics.top_k(1000)) == (3, 5)


def test_among_equals_the_lower_place_is_better() -> None:
    even = np.full((3, 3), 1 / 3, np.float32)
    assert metrics.is_in_top(even, np.array([0, 1, 2]), 2).tolist() == [True, True, False]
    assert metrics.is_right(even, np.array([0, 1, 2])).tolist() == [True, False, False]


def test_the_rows_of_the_confusion_matrix_are_what_photos_show() -> None:
    confusion = metrics.confusion_matrix(CONFIDENCE.argmax(axis=1), TARGETS, 3)
    assert confusion.tolist() == [[1, 0, 0], [0, 1, 1], [1, 0, 0]]


def test_each_class_has_its_precision_recall_and_f1() -> None:
    confusion = metrics.confusion_matrix(CONFIDENCE.argmax(axis=1), TARGETS, 4)
    first, second, third, absent = metrics.per_class(confusion)
    assert (first.precision, first.recall) == (0.5, 1.0)
    assert first.f1 == pytest.approx(2 / 3)
    assert (second.precision, second.recall, second.support, second.answered) == (1.0, 0.5, 2, 1)
    assert (third.precision, third.recall, third.f1) == (0.0, 0.0, 0.0)
    # Nothing to go by is not the same as all wrong.
    assert (absent.precision, absent.recall, absent.f1) == (None, None, None)


def test_macro_f1_is_over_the_classes_that_photos_show() -> None:
    confusion = np.zeros((5, 5), np.int64)
    confusion[0, 0] = confusion[1, 1] = 4
    assert metrics.macro_f1(confusion) == 1.0
    confusion[1, 4] = 4  # class 4 is answered, but no photo shows it
    assert metrics.macro_f1(confusion) == pytest.approx((1 + 2 * 4 / 12) / 2)


def test_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    # 0.95 sure and half right, 0.55 sure and always right: gaps of 0.45 and 0.45.
    top = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, False, True, True])
    assert metrics.expected_calibration_error(top, right) == pytest.approx(0.45)
    # Gaps of two bins do not cancel out, those within a bin do.
    assert metrics.expected_calibration_error(top, right, bins=1) == pytest.approx(0.0)


def test_a_bin_holds_its_upper_end() -> None:
    bins = metrics.reliability(np.array([0.5, 0.5000001, 1.0]), np.array([True] * 3), bins=2)
    assert [one.photos for one in bins] == [1, 2]
    assert metrics.reliability(np.array([0.9]), np.array([True]), bins=2)[0].accuracy is None


def test_losses_of_the_right_class() -> None:
    losses = metrics.negative_log_likelihoods(CONFIDENCE, TARGETS)
    assert losses == pytest.approx(-np.log([0.7, 0.6, 0.4, 0.3]))
    brier = metrics.brier_scores(CONFIDENCE, TARGETS)
    assert brier == pytest.approx([0.09 + 0.04 + 0.01, 0.26, 0.62, 0.78])
    certain = metrics.negative_log_likelihoods(np.array([[0.0, 1.0]]), np.array([0]))
    assert np.isfinite(certain).all()


def test_fewer_answers_are_better_ones() -> None:
    curve = metrics.coverage_curve(TOP, RIGHT)
    assert [(point.coverage, point.accuracy) for point in curve] == [
        (0.25, 1.0),
        (0.5, 1.0),
        (1.0, 0.5),  # both answers that are 0.5 sure come together
    ]
    found = metrics.operating(TOP, RIGHT, 0.55)
    assert (found.coverage, found.accuracy) == (0.5, 1.0)
    assert metrics.operating(TOP, RIGHT, 0.99).accuracy is None


def test_a_curve_of_many_photos_has_at_most_a_hundred_points() -> None:
    top = np.linspace(0.1, 1, 5000)
    curve = metrics.coverage_curve(top, top > 0.5)
    assert len(curve) == 100
    assert curve[-1].coverage == 1.0


@st.composite
def _answers(draw: st.DrawFn) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    photos, classes = draw(st.integers(1, 40)), draw(st.integers(1, 7))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    # Few different numbers, so that there are equals.
    logits = random.integers(0, 4, (photos, classes)).astype(np.float32)
    exponentials = np.exp(logits)
    confidence = exponentials / exponentials.sum(axis=1, keepdims=True)
    return confidence, random.integers(0, classes, photos)


@given(_answers())
def test_what_always_holds(answers: tuple[NDArray[np.float32], NDArray[np.int64]]) -> None:
    confidence, targets = answers
    photos, classes = confidence.shape
    right = metrics.is_right(confidence, targets)
    top = confidence.max(axis=1).astype(np.float64)
    confusion = metrics.confusion_matrix(confidence.argmax(axis=1), targets, classes)
    assert confusion.sum() == photos
    assert confusion.trace() == right.sum()
    assert (metrics.is_in_top(confidence, targets, 1) == right).all()
    assert metrics.is_in_top(confidence, targets, classes).all()
    found = metrics.per_class(confusion)
    assert sum(one.support for one in found) == photos == sum(one.answered for one in found)
    assert 0 <= metrics.macro_f1(confusion) <= 1
    ece = metrics.expected_calibration_error(top, right)
    bins = metrics.reliability(top, right)
    by_hand = sum(
        one.photos * abs(one.confidence - one.accuracy)
        for one in bins
        if one.confidence is not None and one.accuracy is not None
    )
    assert ece == pytest.approx(by_hand / photos, abs=1e-9)
    assert sum(one.photos for one in bins) == photos
    assert abs(top.mean() - right.mean()) <= ece + 1e-9
    curve = metrics.coverage_curve(top, right)
    assert curve[-1].coverage == 1.0
    assert curve[-1].accuracy == pytest.approx(right.mean())
    for point in curve:
        assert metrics.operating(top, right, point.threshold).coverage == pytest.approx(
            point.coverage
        )
    assert (metrics.brier_scores(confidence, targets) <= 2).all()
