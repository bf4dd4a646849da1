"""Answers that were given, and what people said of them."""

from datetime import datetime

from pydantic import Field

from viewfinder.client.answers.classify import Model, Score, TimingMs
from viewfinder.client.answers.shape import PageShape, Shape


class Image(Shape):
    """The image of a result: SHA-256 and size of the file as it was sent."""

    sha256: str
    bytes: int
    stored: bool


class Feedback(Shape):
    """What a person said of a result; `known` is None if the version is gone."""

    label: str
    note: str | None
    correct: bool
    known: bool | None
    created: datetime
    key_id: str | None


class Result(Shape):
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


class ResultPage(PageShape):
    """Some results."""

    results: tuple[Result, ...]
