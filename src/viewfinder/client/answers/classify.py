"""Answers for photos."""

from pydantic import Field

from viewfinder.client.answers.shape import Shape
from viewfinder.client.problems import Problem, to_error
from viewfinder.errors import ViewfinderError
from viewfinder.types import (
    Box,
    ClassScore,
    Explanation,
    Method,
    Prediction,
    ServedModel,
    Timing,
)

UNKNOWN_INDEX = -1
"""The place of a top class that `min_confidence` of a job left out of its answers."""


class Score(Shape):
    """One class: its place in the model's output, and 0-1 confidence."""

    label: str = Field(alias="class")
    index: int
    confidence: float

    @property
    def score(self) -> ClassScore:
        """The same, as a prediction has it."""
        return ClassScore(self.label, self.index, self.confidence)


class Model(Shape):
    """Who answered."""

    name: str
    version: int
    variant: str


class TimingMs(Shape):
    """Where the time went, in milliseconds."""

    decode: float
    queue: float
    infer: float
    total: float


class CoveredPart(Shape):
    """A part of the upright photo, as fractions of its width and height."""

    x: float
    y: float
    width: float
    height: float


class HeatMap(Shape):
    """Where the model saw the class."""

    method: Method
    label: str = Field(alias="class")
    index: int
    rows: int
    columns: int
    values: tuple[tuple[float, ...], ...]
    box: CoveredPart

    @property
    def explanation(self) -> Explanation:
        """The same, as a prediction has it."""
        box = Box(self.box.x, self.box.y, self.box.width, self.box.height)
        return Explanation(self.method, self.label, self.index, self.values, box)


class Classification(Shape):
    """The answer for one photo."""

    id: str
    label: str = Field(alias="class")
    confidence: float
    classes: tuple[Score, ...]
    model: Model
    abstained: bool
    cached: bool
    timing_ms: TimingMs
    explanation: HeatMap | None = None

    def prediction(self, min_confidence: float = 0.0) -> Prediction:
        """The same as `viewfinder.Classifier` says it.

        Args:
            min_confidence: Classes under it are left out of `classes`.
        """
        classes = tuple(one.score for one in self.classes)
        unnamed = ClassScore(self.label, UNKNOWN_INDEX, self.confidence)
        timing = self.timing_ms
        return Prediction(
            id=self.id,
            top=classes[0] if classes else unnamed,
            classes=tuple(score for score in classes if score.confidence >= min_confidence),
            model=ServedModel(self.model.name, self.model.version, self.model.variant),
            abstained=self.abstained,
            cached=self.cached,
            timing=Timing(timing.decode, timing.queue, timing.infer, timing.total),
            explanation=None if self.explanation is None else self.explanation.explanation,
        )


class BatchResult(Shape):
    """One photo of a batch: its answer, or its error."""

    index: int
    filename: str | None = None
    result: Classification | None = None
    error: Problem | None = None

    def outcome(self, min_confidence: float = 0.0) -> Prediction | ViewfinderError:
        """What came of the photo."""
        return outcome_of(self.result, self.error, min_confidence)


class BatchSummary(Shape):
    """How a batch went."""

    total: int
    succeeded: int
    failed: int


class Batch(Shape):
    """The answers of a batch, in the order of the photos."""

    results: tuple[BatchResult, ...]
    summary: BatchSummary


def outcome_of(
    result: Classification | None, error: Problem | None, min_confidence: float = 0.0
) -> Prediction | ViewfinderError:
    """What came of a photo among many."""
    if result is not None:
        return result.prediction(min_confidence)
    if error is not None:
        return to_error(error)
    return ViewfinderError("The server says neither what the photo shows nor what is wrong.")
