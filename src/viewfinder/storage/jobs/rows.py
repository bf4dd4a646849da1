"""What the tables of jobs hold, as a program sees it and as rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import RowMapping

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Job:
    """Many images that one caller has sent at once.

    Attributes:
        id: UUIDv7.
        created: When it was accepted.
        model: The name of the model that answers.
        version: Its version, chosen when the job was accepted.
        top_k: How many classes an answer names.
        min_confidence: Classes under it are left out of an answer.
        total: How many images there are.
        state: Where it stands. `succeeded`: every image was worked on, also where some failed.
        succeeded: How many images have been answered.
        failed: How many could not be.
        owner: The id of the key that sent it; None where none was asked for.
        request_key: Digest of owner and Idempotency-Key, if there was one.
        request_digest: Digest of what was asked for with that key.
        started: When work on it began.
        finished: When it was over, however it ended.
        error_code: Why it failed: a code of docs/errors.md.
        error_detail: The same as a sentence.
        callback_url: Whom to tell when it is over.
    """

    id: str
    created: datetime
    model: str
    version: int
    top_k: int
    min_confidence: float
    total: int
    state: JobState = "queued"
    succeeded: int = 0
    failed: int = 0
    owner: str | None = None
    request_key: str | None = None
    request_digest: str | None = None
    started: datetime | None = None
    finished: datetime | None = None
    error_code: str | None = None
    error_detail: str | None = None
    callback_url: str | None = None

    @property
    def done(self) -> int:
        """How many images have been worked on: the first ones, in their order."""
        return self.succeeded + self.failed

    @property
    def waiting(self) -> int:
        """How many images have not been worked on."""
        return self.total - self.done

    @property
    def is_finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state not in {"queued", "running"}


@dataclass(frozen=True, slots=True)
class JobItem:
    """One image of a job.

    Attributes:
        position: Its place in the job, from 0.
        name: What the caller calls it.
        url: Where to fetch it; None for an image that was sent, and lies at `input_key`.
        result: The id of its result, once it has been answered.
        answer: What the API shows of that, as JSON.
        error: `code` and `detail` of what was wrong with it.
    """

    position: int
    name: str
    url: str | None = None
    result: str | None = None
    answer: dict[str, Any] | None = None
    error: dict[str, str] | None = None


def to_job(row: RowMapping) -> Job:
    """A row as a job."""
    return Job(**{name: row[name] for name in Job.__slots__})


def to_item(row: RowMapping) -> JobItem:
    """A row as an image of a job."""
    return JobItem(**{name: row[name] for name in JobItem.__slots__})
