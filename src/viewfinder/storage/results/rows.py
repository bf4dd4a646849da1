"""What the table of results holds, as a program sees it and as a row."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping

from viewfinder.storage.results.wanted import Place
from viewfinder.types import ClassScore


@dataclass(frozen=True, slots=True)
class Result:
    """One answer.

    Attributes:
        id: UUIDv7, that of the prediction.
        created: When it was given.
        model: The name of the model that answered.
        version: Its version.
        variant: Its variant.
        label: The most confident class.
        confidence: In that class, 0-1.
        classes: The most confident classes, best first.
        abstained: Whether the model said that it does not know.
        cached: Whether it came from the cache.
        timing: Milliseconds by stage.
        owner: The id of the key that asked.
        job: The id of the job that asked.
        image_sha256: Of the image file as it was sent.
        image_bytes: Of the same.
        stored_bytes: Of the stored image; None where none is stored.
        feedback: What it shows, as a person says.
        note: What else that person says.
        reviewed: When.
        reviewer: The id of the key that said so.
    """

    id: str
    created: datetime
    model: str
    version: int
    variant: str
    label: str
    confidence: float
    classes: tuple[ClassScore, ...]
    abstained: bool
    cached: bool
    timing: dict[str, float]
    owner: str | None
    job: str | None
    image_sha256: str
    image_bytes: int
    stored_bytes: int | None = None
    feedback: str | None = None
    note: str | None = None
    reviewed: datetime | None = None
    reviewer: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some results.

    Attributes:
        results: In the order that was wanted.
        last: Where the next page goes on; None where this is the last.
    """

    results: tuple[Result, ...]
    last: Place | None


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a version answered a class, and people said another or the same.

    Attributes:
        version: The version.
        label: The class that it answered.
        feedback: What the photos show.
        abstained: Whether it said that it does not know.
        count: How often.
    """

    version: int
    label: str
    feedback: str
    abstained: bool
    count: int


_FIELDS = tuple(Result.__slots__)


def row_of(result: Result) -> dict[str, Any]:
    """A result as the table takes it."""
    # By hand: `asdict` copies everything to the bottom, at ten times the cost.
    row = {field: getattr(result, field) for field in _FIELDS}
    row["classes"] = [[c.label, c.index, c.confidence] for c in result.classes]
    return row


def result_of(row: RowMapping) -> Result:
    """A result as the table has it."""
    reviewed = row["reviewed"]
    return Result(
        **{
            **row,
            "created": row["created"].astimezone(UTC),
            "classes": tuple(ClassScore(*score) for score in row["classes"]),
            "reviewed": None if reviewed is None else reviewed.astimezone(UTC),
        }
    )
