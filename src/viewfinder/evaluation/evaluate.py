"""Everything that is found out about a model on a data set, ready to be JSON and a report."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from viewfinder.datasets.photos import Photo, Split
from viewfinder.errors import DatasetError
from viewfinder.evaluation import intervals, metrics
from viewfinder.evaluation.calibration import abstain_threshold, fit_temperature
from viewfinder.evaluation.estimate import Estimate
from viewfinder.evaluation.ladder import Ladder, VariantRow
from viewfinder.evaluation.metrics import Bools, Floats, Ints
from viewfinder.evaluation.scoring import Scored, confidences
from viewfinder.evaluation.significance import Compared
from viewfinder.registry.manifest import Variant

MOST_MISTAKES = 24
MOST_PAIRS = 20

Part = Split | Literal["all"]
"""Which photos of a data set: a split of it, or all."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassEvaluation(_Part):
    """One class that a photo shows, or that was an answer. See `metrics.ClassScores`."""

    label: str
    support: int
    answered: int
    precision: float | None
    recall: Estimate | None
    f1: float | None


class CalibrationBin(_Part):
    """Answers of about the same confidence. See `metrics.Bin`."""

    low: float
    high: float
    photos: int
    confidence: float | None
    accuracy: float | None


class OperatingPoint(_Part):
    """What becomes of the answers under a threshold. See `metrics.Operating`."""

    threshold: float
    coverage: float
    accuracy: float | None


class ConfusedPair(_Part):
    """Photos of one class that were taken for another.

    Attributes:
        label: What they show.
        answer: What they were taken for.
        photos: How many.
        share: Of the photos of that class, 0-1.
    """

    label: str
    answer: str
    photos: int
    share: float


class Mistake(_Part):
    """A wrong answer.

    Attributes:
        path: Of the photo, from the data set's folder.
        label: What it shows.
        answer: What the model took it for.
        confidence: In that answer, 0-1.
        confidence_in_label: In what would have been right, 0-1.
    """

    path: str
    label: str
    answer: str
    confidence: float
    confidence_in_label: float


class SkippedPhoto(_Part):
    """A photo that could not be scored."""

    path: str
    label: str
    reason: str


class SplitEvaluation(_Part):
    """A variant on some photos.

    Attributes:
        photos: How many were scored.
        accuracy: The share of right answers.
        top_k: How many classes count for the next number: 5, or all if the model has fewer.
        top5_accuracy: The share of photos whose class is among the best `top_k`.
        macro_f1: The mean F1 over the classes that the photos show.
        ece: Expected calibration error of the confidence that serving gives (15 equal bins).
        ece_uncalibrated: The same with a temperature of 1.
        mean_confidence: Of the answers.
        nll: Negative log-likelihood of the right class, in nats.
        brier: Squared distance to the right answer, 0-2.
        temperature: What the variant divides its logits by.
        suggested_temperature: What would suit these photos best.
        abstain_below: The variant's threshold; None if it always answers.
        coverage: The share of photos that gets an answer at that threshold.
        accuracy_answered: The share of those that is right; None if there are none.
        suggested_abstain: The threshold that halves the rate of wrong answers on these photos; None
            if there is none, or too few mistakes to tell.
        curve: Accuracy against coverage, by falling thresholds.
        classes: In the order of the model's output; only those that occur.
        confusion: How often each of `classes` (row) got each of them as its answer (column).
        confused: The pairs that occur most.
        worst: The wrong answers that the model was surest of.
        skipped: What could not be scored.
    """

    photos: int
    accuracy: Estimate
    top_k: int
    top5_accuracy: Estimate
    macro_f1: Estimate
    ece: float
    ece_uncalibrated: float
    mean_confidence: float
    nll: Estimate
    nll_uncalibrated: float
    brier: Estimate
    temperature: float
    suggested_temperature: float
    abstain_below: float | None
    coverage: float
    accuracy_answered: Estimate | None
    suggested_abstain: OperatingPoint | None
    curve: tuple[OperatingPoint, ...]
    bins: tuple[CalibrationBin, ...]
    bins_uncalibrated: tuple[CalibrationBin, ...]
    classes: tuple[ClassEvaluation, ...]
    confusion: tuple[tuple[int, ...], ...]
    confused: tuple[ConfusedPair, ...]
    worst: tuple[Mistake, ...]
    skipped: tuple[SkippedPhoto, ...]

    def summary(self) -> dict[str, Any]:
        """In short, for a bundle's manifest."""
        answered = self.accuracy_answered
        return {
            "photos": self.photos,
            "accuracy": self.accuracy.value,
            "accuracy_low": self.accuracy.low,
            "accuracy_high": self.accuracy.high,
            "top5_accuracy": self.top5_accuracy.value,
            "macro_f1": self.macro_f1.value,
            "ece": self.ece,
            "ece_uncalibrated": self.ece_uncalibrated,
            "nll": self.nll.value,
            "abstain_below": self.abstain_below,
            "coverage": self.coverage,
            "accuracy_answered": answered.value if answered is not None else None,
        }


class Epoch(_Part):
    """One round of training."""

    phase: str
    epoch: int
    loss: float | None = None
    accuracy: float | None = None
    validation_accuracy: float | None = None
    learning_rate: float | None = None


class Comparison(_Part):
    """Another model on the same photos. See `significance.Compared`: this model is the second.

    Attributes:
        evaluation: The other model.
    """

    evaluation: "Evaluation"
    photos: int
    only_first: int
    only_second: int
    difference: Estimate
    p_value: float

    @classmethod
    def of(cls, evaluation: "Evaluation", compared: Compared) -> Self:
        """Put what was found together."""
        return cls(
            evaluation=evaluation,
            photos=compared.photos,
            only_first=compared.only_first,
            only_second=compared.only_second,
            difference=Estimate.of(compared.difference, (compared.low, compared.high)),
            p_value=compared.p_value,
        )


class Evaluation(_Part):
    """The whole of `evaluation.json`, and all that a report shows but the photos themselves.

    Attributes:
        name: The model.
        version: Its version.
        variant: Which of its graphs.
        created: When this was found out.
        data: What the photos are called: a folder or a file.
        labels: How many classes the model has.
        splits: What was found, for each part of the data.
        unseen: Whether the test photos are known to have been kept from training.
        ignored: Photos left out because the model does not know their label.
        comparison: With another model.
        variants: Of this version, side by side.
        ladder: The same with the choice among them, where it was made here.
        keras: What Keras itself scored, as a check on the conversion.
        history: How training went.
        provenance: Where the model came from.
    """

    schema_version: Literal[1] = 1
    name: str
    version: int
    variant: str
    created: datetime
    data: str
    labels: int
    splits: dict[Part, SplitEvaluation] = Field(min_length=1)
    unseen: bool = False
    ignored: int = 0
    comparison: Comparison | None = None
    variants: tuple[VariantRow, ...] = ()
    ladder: Ladder | None = None
    keras: dict[str, Any] | None = None
    history: tuple[Epoch, ...] = ()
    provenance: dict[str, Any] = {}

    @property
    def model(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    @property
    def main(self) -> Part:
        """The part that says most about new photos."""
        order: tuple[Part, ...] = ("test", "validation", "all", "train")
        return next(part for part in order if part in self.splits)

    @property
    def result(self) -> SplitEvaluation:
        """What was found on that part."""
        return self.splits[self.main]


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
        path = Path(os.path.relpath(photo.path, self._root)).as_posix()
        return path.encode(errors="backslashreplace").decode()


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
