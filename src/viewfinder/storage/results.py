"""Results: the answers that were given, and what people said of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from viewfinder.storage.database import Database
from viewfinder.storage.tables import results
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


class Results:
    """The table of results. Every method raises `DatabaseError` if the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: Sequence[Result]) -> None:
        """Keep new results, all or none."""
        if not new:
            return
        async with self._database.writing() as connection:
            await connection.execute(results.insert(), [_row(result) for result in new])


def _row(result: Result) -> dict[str, Any]:
    return asdict(result) | {"classes": [[c.label, c.index, c.confidence] for c in result.classes]}
