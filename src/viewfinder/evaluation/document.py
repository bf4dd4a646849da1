"""The shape of `evaluation.json`: what is known of a model on a data set."""

from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from viewfinder.datasets.photos import Split
from viewfinder.evaluation.estimate import Estimate
from viewfinder.evaluation.ladder import Ladder, VariantRow
from viewfinder.evaluation.significance import Compared

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
