"""Works out everything about a model from its scores on a data set."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.datasets.photos import Photo
from viewfinder.errors import DatasetError
from viewfinder.evaluation import intervals, metrics
from viewfinder.evaluation.calibration import abstain_threshold, fit_temperature
from viewfinder.evaluation.document import (
    CalibrationBin,
    ClassEvaluation,
    ConfusedPair,
    Mistake,
    OperatingPoint,
    SkippedPhoto,
    SplitEvaluation,
)
from viewfinder.evaluation.estimate import Estimate
from viewfinder.evaluation.metrics import Bools, Floats, Ints
from viewfinder.evaluation.scoring import Scored, confidences
from viewfinder.registry.manifest import Variant
from viewfinder.shared.plain import encodable

MOST_MISTAKES = 24
MOST_PAIRS = 20


def evaluate(
    variant: Variant, labels: Sequence[str], scored: Scored, *, seed: int, root: Path | None = None
) -> SplitEvaluation:
    """Work out everything about a variant from its scores.

    Args:
        variant: Says what the scores are, and how they are calibrated.
        labels: The model's, in the order of its output.
        scored: Photos, whose labels are all among those, and scores for them.
        seed: Of the resampling behind the intervals.
        root: The folder from which paths are told; if not said, the one that holds all photos.

    Raises:
        DatasetError: There is no photo, or one has a label that the model lacks.
    """
    targets = targets_of(scored.photos, labels)
    calibration = variant.calibration
    raw = confidences(scored.scores, output=variant.output, temperature=1.0)
    temperature = calibration.temperature
    confidence = (
        raw
        if temperature == 1
        else confidences(scored.scores, output=variant.output, temperature=temperature)
    )
    right = metrics.is_right(confidence, targets)
    top, top_raw = _top(confidence), _top(raw)
    k = metrics.top_k(len(labels))
    confusion = metrics.confusion_matrix(confidence.argmax(axis=1), targets, len(labels))
    losses = metrics.negative_log_likelihoods(confidence, targets)
    brier = metrics.brier_scores(confidence, targets)
    threshold = calibration.abstain_below
    answered = top >= (threshold or 0.0)
    present = np.flatnonzero(confusion.sum(axis=0) + confusion.sum(axis=1))
    tell = _Teller(scored, root)
    return SplitEvaluation(
        photos=len(targets),
        accuracy=Estimate.of_share(right),
        top_k=k,
        top5_accuracy=Estimate.of_share(metrics.is_in_top(confidence, targets, k)),
        macro_f1=Estimate.of(
            metrics.macro_f1(confusion), intervals.of_macro_f1(confusion, seed=seed)
        ),
        ece=metrics.expected_calibration_error(top, right),
        ece_uncalibrated=metrics.expected_calibration_error(top_raw, right),
        mean_confidence=float(top.mean()),
        nll=Estimate.of(float(losses.mean()), intervals.of_mean(losses, seed=seed)),
        nll_uncalibrated=float(metrics.negative_log_likelihoods(raw, targets).mean()),
        brier=Estimate.of(float(brier.mean()), intervals.of_mean(brier, seed=seed)),
        temperature=temperature,
        suggested_temperature=fit_temperature(scored.scores, targets, output=variant.output),
        abstain_below=threshold,
        coverage=float(answered.mean()),
        accuracy_answered=Estimate.of_share(right[answered]) if answered.any() else None,
        suggested_abstain=_suggestion(confidence, targets, top, right),
        curve=tuple(
            OperatingPoint(**asdict(point)) for point in metrics.coverage_curve(top, right)
        ),
        bins=_bins(top, right),
        bins_uncalibrated=_bins(top_raw, right),
        classes=_classes(confusion, labels, present),
        confusion=tuple(map(tuple, confusion[np.ix_(present, present)].tolist())),
        confused=_confused(confusion, labels),
        worst=_worst(confidence, targets, labels, scored.photos, tell),
        skipped=tuple(
            SkippedPhoto(
                path=tell.path(skipped.photo), label=skipped.photo.label, reason=skipped.reason
            )
            for skipped in scored.skipped
        ),
    )


def targets_of(photos: Sequence[Photo], labels: Sequence[str]) -> Ints:
    """The place of each photo's label in the model's output, int64 `[N]`.

    Raises:
        DatasetError: There is no photo, or the model lacks a label.
    """
    places = {label: place for place, label in enumerate(labels)}
    if not photos:
        raise DatasetError("there are no photos to evaluate on")
    for photo in photos:
        if photo.label not in places:
            raise DatasetError(f"the model does not know the label {photo.label!r}")
    return np.array([places[photo.label] for photo in photos], np.int64)


class _Teller:
    """Tells paths from the data set's folder: where that lies is nobody's business."""

    def __init__(self, scored: Scored, root: Path | None) -> None:
        photos = (*scored.photos, *(skipped.photo for skipped in scored.skipped))
        self._root = root or os.path.commonpath([photo.path.parent.absolute() for photo in photos])

    def path(self, photo: Photo) -> str:
        """The path, in characters that JSON can hold: a file's name may be any bytes."""
        return encodable(Path(os.path.relpath(photo.path, self._root)).as_posix())


def _top(confidence: Floats) -> NDArray[np.float64]:
    top: NDArray[np.float64] = confidence.max(axis=1).astype(np.float64)
    return top


def _bins(top: Floats, right: Bools) -> tuple[CalibrationBin, ...]:
    return tuple(CalibrationBin(**asdict(one)) for one in metrics.reliability(top, right))


def _suggestion(
    confidence: Floats, targets: Ints, top: Floats, right: Bools
) -> OperatingPoint | None:
    threshold = abstain_threshold(confidence, targets)
    if threshold is None:
        return None
    return OperatingPoint(**asdict(metrics.operating(top, right, threshold)))


def _classes(confusion: Ints, labels: Sequence[str], present: Ints) -> tuple[ClassEvaluation, ...]:
    found = metrics.per_class(confusion)

    def recall(one: metrics.ClassScores, hits: int) -> Estimate | None:
        if one.recall is None:
            return None
        return Estimate.of(one.recall, intervals.of_share(hits, one.support))

    return tuple(
        ClassEvaluation(
            label=labels[place],
            support=found[place].support,
            answered=found[place].answered,
            precision=found[place].precision,
            recall=recall(found[place], int(confusion[place, place])),
            f1=found[place].f1,
        )
        for place in present.tolist()
    )


def _confused(confusion: Ints, labels: Sequence[str]) -> tuple[ConfusedPair, ...]:
    mistakes = confusion.copy()
    np.fill_diagonal(mistakes, 0)
    rows, columns = np.nonzero(mistakes)
    order = np.argsort(-mistakes[rows, columns], kind="stable")[:MOST_PAIRS]
    return tuple(
        ConfusedPair(
            label=labels[row],
            answer=labels[column],
            photos=int(mistakes[row, column]),
            share=float(mistakes[row, column] / confusion[row].sum()),
        )
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True)
    )


def _worst(
    confidence: Floats,
    targets: Ints,
    labels: Sequence[str],
    photos: Sequence[Photo],
    tell: _Teller,
) -> tuple[Mistake, ...]:
    answers, top = confidence.argmax(axis=1), confidence.max(axis=1)
    wrong = np.flatnonzero(answers != targets)
    order = wrong[np.argsort(-top[wrong], kind="stable")][:MOST_MISTAKES]
    return tuple(
        Mistake(
            path=tell.path(photos[n]),
            label=photos[n].label,
            answer=labels[answers[n]],
            confidence=float(top[n]),
            confidence_in_label=float(confidence[n, targets[n]]),
        )
        for n in order.tolist()
    )
