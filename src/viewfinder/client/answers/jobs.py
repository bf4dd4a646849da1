"""Jobs, and what came of their images."""

from datetime import datetime
from typing import Literal, TypeAlias

from viewfinder.client.answers.classify import Classification, outcome_of
from viewfinder.client.answers.shape import PageShape, Shape
from viewfinder.client.problems import Problem
from viewfinder.errors import ViewfinderError
from viewfinder.types import Prediction

JobState: TypeAlias = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class JobModel(Shape):
    """Who answers a job, chosen when it was accepted."""

    name: str
    version: int


class JobCounts(Shape):
    """How many images a job has; `waiting` are those that nobody has worked on."""

    total: int
    succeeded: int
    failed: int
    waiting: int


class CallbackAttempt(Shape):
    """One call of a callback."""

    at: datetime
    seconds: float
    status: int | None
    error: str | None


class Callback(Shape):
    """Whom a job tells when it is over, and how that stands."""

    id: str | None = None
    url: str
    state: Literal["waiting", "delivered", "refused", "expired"] | None = None
    attempts: tuple[CallbackAttempt, ...] = ()
    next_attempt: datetime | None = None


class Job(Shape):
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


class JobPage(PageShape):
    """Some jobs."""

    jobs: tuple[Job, ...]


class JobResult(Shape):
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
        return outcome_of(self.result, self.error)


class JobResultPage(PageShape):
    """Some images of a job."""

    results: tuple[JobResult, ...]
