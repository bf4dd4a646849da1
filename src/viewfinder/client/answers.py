"""What a server answers, as it is told in Python: frozen, typed, and tolerant.

A field that a newer server adds is left out. What JSON calls `class` is `label` here, as in
`viewfinder.types`.
"""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

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

JobState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]
UNKNOWN_INDEX = -1
"""The place of a top class that `min_confidence` of a job left out of its answers."""


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Score(_Answer):
    """One class: its place in the model's output, and 0-1 confidence."""

    label: str = Field(alias="class")
    index: int
    confidence: float

    @property
    def score(self) -> ClassScore:
        """The same, as a prediction has it."""
        return ClassScore(self.label, self.index, self.confidence)


class Model(_Answer):
    """Who answered."""

    name: str
    version: int
    variant: str


class TimingMs(_Answer):
    """Where the time went, in milliseconds."""

    decode: float
    queue: float
    infer: float
    total: float


class CoveredPart(_Answer):
    """A part of the upright photo, as fractions of its width and height."""

    x: float
    y: float
    width: float
    height: float


class HeatMap(_Answer):
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


class Classification(_Answer):
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


class BatchResult(_Answer):
    """One photo of a batch: its answer, or its error."""

    index: int
    filename: str | None = None
    result: Classification | None = None
    error: Problem | None = None

    def outcome(self, min_confidence: float = 0.0) -> Prediction | ViewfinderError:
        """What came of the photo."""
        return _outcome(self.result, self.error, min_confidence)


class BatchSummary(_Answer):
    """How a batch went."""

    total: int
    succeeded: int
    failed: int


class Batch(_Answer):
    """The answers of a batch, in the order of the photos."""

    results: tuple[BatchResult, ...]
    summary: BatchSummary


class JobModel(_Answer):
    """Who answers a job, chosen when it was accepted."""

    name: str
    version: int


class JobCounts(_Answer):
    """How many images a job has; `waiting` are those that nobody has worked on."""

    total: int
    succeeded: int
    failed: int
    waiting: int


class CallbackAttempt(_Answer):
    """One call of a callback."""

    at: datetime
    seconds: float
    status: int | None
    error: str | None


class Callback(_Answer):
    """Whom a job tells when it is over, and how that stands."""

    id: str | None = None
    url: str
    state: Literal["waiting", "delivered", "refused", "expired"] | None = None
    attempts: tuple[CallbackAttempt, ...] = ()
    next_attempt: datetime | None = None


class Job(_Answer):
    """A job, and where it stands; `error` says why it could not be carried out."""

    id: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    state: JobState
    model: JobModel
    counts: JobCounts
    error: Problem | None
    key_id: str | None
    callback: Callback | None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is going to happen to it."""
        return self.state not in {"queued", "running"}


class JobPage(_Answer):
    """Some jobs."""

    jobs: tuple[Job, ...]
    next: str | None


class JobResult(_Answer):
    """One image of a job: its answer, or its error."""

    index: int
    filename: str
    result: Classification | None = None
    error: Problem | None = None

    @property
    def outcome(self) -> Prediction | ViewfinderError:
        """What came of the image.

        A prediction's `top.index` is -1 where the job's `min_confidence` left out the top class.
        """
        return _outcome(self.result, self.error)


class JobResultPage(_Answer):
    """Some images of a job."""

    results: tuple[JobResult, ...]
    next: str | None


class VersionState(_Answer):
    """One version of a model and whether it can answer; `reason` says why it failed."""

    version: int
    state: Literal["loading", "ready", "failed", "unloaded"]
    reason: str | None = None


class Share(_Answer):
    """The part of the requests that one version answers, in percent."""

    version: int
    percent: float


class Traffic(_Answer):
    """Who answers a request that names the model alone, and who is compared with that."""

    split: tuple[Share, ...] = ()
    shadow: int | None = None


class Shadow(_Answer):
    """How a shadow has done beside the version that answered; shares are 0-1."""

    version: int
    compared: int
    agreement: float | None
    confidence_difference: float | None
    failed: int
    skipped: int


class ModelInfo(_Answer):
    """A model with its versions."""

    name: str
    versions: tuple[VersionState, ...]
    aliases: dict[str, int]
    traffic: Traffic | None
    shadow: Shadow | None
    rollback: int | None
    problem: str | None
    labels_count: int | None


class Models(_Answer):
    """Every model, and which one answers when a request names none."""

    models: tuple[ModelInfo, ...]
    default: str


class Routing(_Answer):
    """Where a model's requests go now."""

    name: str
    aliases: dict[str, int]
    traffic: Traffic | None


class Variant(_Answer):
    """One graph of a version; `accuracy` is 0-1, `p50_ms` the median of one photo."""

    name: str
    format: str
    bytes: int
    accuracy: float | None
    p50_ms: float | None
    recommended: bool


class Input(_Answer):
    """What a model sees of a photo."""

    width: int
    height: int
    resize: Literal["crop", "stretch", "pad"] = "crop"
    crop_fraction: float = 1.0
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"
    channels: Literal["rgb", "bgr"] = "rgb"


class Calibration(_Answer):
    """How scores become confidence, and under which an answer is "I don't know"."""

    temperature: float = 1.0
    abstain_below: float | None = None


class Version(_Answer):
    """What a version of a model says of itself."""

    name: str
    version: int
    created: datetime
    labels_count: int
    input: Input
    variants: tuple[Variant, ...]
    evaluation: dict[str, Any] | None
    calibration: Calibration
    provenance: dict[str, Any]
    aliases: tuple[str, ...]


class Label(_Answer):
    """One class of a model."""

    index: int
    label: str = Field(alias="class")
    id: str | None
    description: str | None


class Labels(_Answer):
    """The classes of a model version, in the order of its output."""

    name: str
    version: int
    labels: tuple[Label, ...]


class Image(_Answer):
    """The image of a result: SHA-256 and size of the file as it was sent."""

    sha256: str
    bytes: int
    stored: bool


class Feedback(_Answer):
    """What a person said of a result; `known` is None if the version is gone."""

    label: str
    note: str | None
    correct: bool
    known: bool | None
    created: datetime
    key_id: str | None


class Result(_Answer):
    """One answer that was given."""

    id: str
    created: datetime
    label: str = Field(alias="class")
    confidence: float
    classes: tuple[Score, ...]
    model: Model
    abstained: bool
    cached: bool
    timing_ms: TimingMs
    key_id: str | None
    job_id: str | None
    image: Image
    feedback: Feedback | None


class ResultPage(_Answer):
    """Some results."""

    results: tuple[Result, ...]
    next: str | None


class Estimate(_Answer):
    """A share, 0-1, with its 95% interval."""

    value: float
    low: float
    high: float


class Part(_Answer):
    """Reviewed answers of one kind; a share of none is None."""

    reviewed: int
    correct: int
    accuracy: Estimate | None


class ClassAccuracy(_Answer):
    """One class, as it is true (`reviewed`) and as it is answered."""

    label: str = Field(alias="class")
    reviewed: int
    answered: int
    correct: int
    recall: Estimate | None
    precision: Estimate | None


class Confusion(_Answer):
    """A class that was answered in place of another."""

    label: str = Field(alias="class")
    answered: str
    count: int


class VersionAccuracy(_Answer):
    """How good one version is on the photos that people have looked at."""

    version: int
    reviewed: int
    correct: int
    accuracy: Estimate
    answered: Part
    abstained: Part
    classes: tuple[ClassAccuracy, ...]
    confusions: tuple[Confusion, ...]


class LiveAccuracy(_Answer):
    """How good a model is on the photos that people have looked at."""

    name: str
    since: datetime | None
    until: datetime | None
    versions: tuple[VersionAccuracy, ...]
    caution: str


class Health(_Answer):
    """The process is alive."""

    status: str
    version: str


class Readiness(_Answer):
    """Whether the default model can answer.

    Attributes:
        status: `degraded` where it can, and another part cannot work.
        parts: How each part is: `ready`, or what is wrong with it; empty where it is not ready.
        detail: Why it is not ready, in a sentence.
    """

    status: Literal["ready", "degraded", "not_ready"]
    parts: dict[str, str] = {}
    detail: str | None = None

    @property
    def can_answer(self) -> bool:
        """Whether photos are answered."""
        return self.status != "not_ready"


def _outcome(
    result: Classification | None, error: Problem | None, min_confidence: float = 0.0
) -> Prediction | ViewfinderError:
    if result is not None:
        return result.prediction(min_confidence)
    if error is not None:
        return to_error(error)
    return ViewfinderError("The server says neither what the photo shows nor what is wrong.")
