"""How good answers are, as numbers. Pure functions of arrays; nothing here knows a model or a file.

`confidence` is float32 or float64 `[N, C]`, 0-1, each row with the sum 1; `targets` is int64 `[N]`,
the place of the right class.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BINS = 15
"""Of equal width, as in Guo et al., On Calibration of Modern Neural Networks, 2017."""

_TOP_K = 5
_TINY = np.finfo(np.float64).tiny
_CURVE_POINTS = 100


def is_right(confidence: Floats, targets: Ints) -> Bools:
    """Whether each answer is right, `[N]`; among equals, the lower place is the answer."""
    right: Bools = confidence.argmax(axis=1) == targets
    return right


def top_k(classes: int) -> int:
    """How many classes of an answer count for the top-k accuracy: 5, or all if there are fewer."""
    return min(_TOP_K, classes)


def is_in_top(confidence: Floats, targets: Ints, k: int) -> Bools:
    """Whether the right class is among the best `k` of each answer, `[N]`.

    Among equals the lower place is better, as in serving.
    """
    rows = np.arange(len(targets))
    own = confidence[rows, targets][:, np.newaxis]
    better = (confidence > own).sum(axis=1)
    before = np.arange(confidence.shape[1]) < targets[:, np.newaxis]
    better += ((confidence == own) & before).sum(axis=1)
    within: Bools = better < k
    return within


def confusion_matrix(answers: Ints, targets: Ints, classes: int) -> Ints:
    """How often each class (row) got each answer (column), int64 `[C, C]`."""
    flat = np.bincount(targets * classes + answers, minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One class.

    Attributes:
        support: Photos that show it.
        answered: Photos for which it was the answer.
        precision: Of those answers, the share that is right; None if there are none.
        recall: Of those photos, the share that got it; None if there are none.
        f1: The harmonic mean of both; 0 if all of it is wrong, None if there is nothing to go by.
    """

    support: int
    answered: int
    precision: float | None
    recall: float | None
    f1: float | None


def per_class(confusion: Ints) -> list[ClassScores]:
    """Precision, recall and F1 of each class of a confusion matrix."""

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return [
        ClassScores(
            support=support,
            answered=answered,
            precision=share(right, answered),
            recall=share(right, support),
            f1=share(2 * right, support + answered),
        )
        for right, support, answered in zip(
            confusion.diagonal().tolist(),
            confusion.sum(axis=1).tolist(),
            confusion.sum(axis=0).tolist(),
            strict=True,
        )
    ]


def macro_f1(confusion: Ints) -> float:
    """The mean F1 of the classes that any photo shows, 0-1."""
    found = [one.f1 for one in per_class(confusion) if one.support and one.f1 is not None]
    return float(np.mean(found))


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of about the same confidence.

    Attributes:
        low: The least confidence that belongs here, not included but for 0.
        high: The most, included.
        photos: How many.
        confidence: Their mean confidence; None if there are none.
        accuracy: The share of them that is right; None if there are none.
    """

    low: float
    high: float
    photos: int
    confidence: float | None
    accuracy: float | None


def reliability(top: Floats, right: Bools, bins: int = BINS) -> list[Bin]:
    """How often answers are right that were this sure.

    Args:
        top: `[N]`, the confidence of each answer.
        right: `[N]`, whether it is right.
        bins: How many, of equal width.
    """
    places = _bin_of(top, bins)
    photos = np.bincount(places, minlength=bins)
    confidence = np.bincount(places, weights=top, minlength=bins)
    rights = np.bincount(places, weights=right, minlength=bins)
    return [
        Bin(
            low=n / bins,
            high=(n + 1) / bins,
            photos=int(count),
            confidence=float(confidence[n] / count) if count else None,
            accuracy=float(rights[n] / count) if count else None,
        )
        for n, count in enumerate(photos)
    ]


def expected_calibration_error(top: Floats, right: Bools, bins: int = BINS) -> float:
    """By how much confidence is off, on average over the bins by their photos, 0-1 (ECE)."""
    gaps = np.bincount(_bin_of(top, bins), weights=top - right, minlength=bins)
    return float(np.abs(gaps).sum() / len(top))


def negative_log_likelihoods(confidence: Floats, targets: Ints) -> NDArray[np.float64]:
    """The negative natural logarithm of the confidence in the right class, `[N]`."""
    own = confidence[np.arange(len(targets)), targets].astype(np.float64)
    losses: NDArray[np.float64] = -np.log(np.maximum(own, _TINY))
    return losses


def brier_scores(confidence: Floats, targets: Ints) -> NDArray[np.float64]:
    """The squared distance of each answer to the right one over all classes, `[N]`, 0-2."""
    own = confidence[np.arange(len(targets)), targets].astype(np.float64)
    squares = np.einsum("nc,nc->n", confidence, confidence, dtype=np.float64)
    scores: NDArray[np.float64] = np.maximum(squares - own**2 + (1 - own) ** 2, 0)
    return scores


@dataclass(frozen=True, slots=True)
class Operating:
    """What happens if answers under a confidence become "I don't know".

    Attributes:
        threshold: That confidence, 0-1.
        coverage: The share of photos that still gets an answer.
        accuracy: The share of those answers that is right; None if there are none.
    """

    threshold: float
    coverage: float
    accuracy: float | None


def operating(top: Floats, right: Bools, threshold: float) -> Operating:
    """The share that is answered at a threshold, and how much of it is right."""
    answered = top >= threshold
    return Operating(
        threshold=threshold,
        coverage=float(answered.mean()),
        accuracy=float(right[answered].mean()) if answered.any() else None,
    )


def coverage_curve(top: Floats, right: Bools, points: int = _CURVE_POINTS) -> list[Operating]:
    """Accuracy against coverage, from few answers to all of them.

    Args:
        top: `[N]`, the confidence of each answer.
        right: `[N]`, whether it is right.
        points: The most to give.
    """
    order = np.argsort(-top, kind="stable")
    sorted_top = top[order]
    accuracy = np.cumsum(right[order]) / np.arange(1, len(top) + 1)
    # Answers that are equally sure are given or held back together.
    ends = np.flatnonzero(np.append(np.diff(sorted_top) != 0, True))
    chosen = ends[np.unique(np.linspace(0, len(ends) - 1, points).round().astype(int))]
    return [
        Operating(float(sorted_top[end]), (int(end) + 1) / len(top), float(accuracy[end]))
        for end in chosen
    ]


def _bin_of(top: Floats, bins: int) -> Ints:
    """The bin of each confidence: those up to 1/bins in the first, and so on."""
    places: Ints = np.ceil(top.astype(np.float64) * bins).astype(np.int64) - 1
    return np.clip(places, 0, bins - 1)
