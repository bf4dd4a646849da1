"""Results: the answers that were given, and what people said of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import DataError, IntegrityError

from viewfinder.errors import DatabaseError
from viewfinder.storage.database import Database
from viewfinder.storage.tables import results
from viewfinder.types import ClassScore

# Rows that are made at once: a hundred hold up the event loop for a few milliseconds.
_AT_ONCE = 100
# What a row is at fault for, and not the database.
_FAULTS = (DataError, IntegrityError)


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

    async def add(self, new: Sequence[Result]) -> Sequence[Result]:
        """Keep new results. One whose id is there already stays as it is there.

        Returns:
            Those that no database takes, such as one with a confidence that is no number; all
            others are kept.
        """
        if not new:
            return ()
        try:
            await self._insert(new)
        except DatabaseError as error:
            if not isinstance(error.__cause__, _FAULTS):
                raise
        except ValueError:
            pass  # a text that is none; the driver says so in its own way
        else:
            return ()
        if len(new) == 1:
            return new
        middle = len(new) // 2
        return [*await self.add(new[:middle]), *await self.add(new[middle:])]

    async def _insert(self, new: Sequence[Result]) -> None:
        async with self._database.writing() as connection:
            # Both have the clause, SQLAlchemy in each one's dialect; the other's is not imported.
            dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
            statement = dialect.insert(results).on_conflict_do_nothing(index_elements=["id"])
            for begin in range(0, len(new), _AT_ONCE):
                rows = [_row(result) for result in new[begin : begin + _AT_ONCE]]
                await connection.execute(statement, rows)

    async def mark_stored(self, sizes: Mapping[str, int]) -> frozenset[str]:
        """Note which results have a stored image now.

        Args:
            sizes: Bytes of the image, by the id of the result.

        Returns:
            The ids that are there no more.
        """
        if not sizes:
            return frozenset()
        statement = (
            update(results)
            .where(results.c.id == bindparam("which"))
            .values(stored_bytes=bindparam("size"))
        )
        rows = [{"which": which, "size": sizes[which]} for which in sorted(sizes)]
        async with self._database.writing() as connection:
            await connection.execute(statement, rows)
            # Those that were found are locked until the end: nobody takes them away meanwhile.
            found = await connection.execute(select(results.c.id).where(results.c.id.in_(sizes)))
            return frozenset(sizes) - set(found.scalars())


_FIELDS = tuple(Result.__slots__)


def _row(result: Result) -> dict[str, Any]:
    # By hand: `asdict` copies everything to the bottom, at ten times the cost.
    row = {field: getattr(result, field) for field in _FIELDS}
    row["classes"] = [[c.label, c.index, c.confidence] for c in result.classes]
    return row
