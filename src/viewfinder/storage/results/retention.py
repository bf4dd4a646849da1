"""The queries of letting go: which results are too old or too many, and taking them away.

Ids are in the order of time, so that each question ends in one id: what is under it goes.
"""

from collections.abc import Sequence

from sqlalchemy import delete, func, select, update

from viewfinder.storage.database import Database
from viewfinder.storage.tables import results

_id, _stored = results.c.id, results.c.stored_bytes


class OldResults:
    """Results that may go. Every method raises `DatabaseError` if the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beyond(self, rows: int) -> str | None:
        """The oldest of the newest `rows` results; None where there are fewer."""
        oldest = select(_id).order_by(_id.desc()).offset(rows - 1).limit(1)
        async with self._database.reading() as connection:
            found: str | None = (await connection.execute(oldest)).scalar()
        return found

    async def under(self, bound: str, count: int) -> Sequence[str]:
        """The oldest whose id is under another, at most so many."""
        query = select(_id).where(_id < bound).order_by(_id).limit(count)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalars().all()

    async def images_beyond(self, size: int) -> str | None:
        """The newest one whose stored image, with all newer ones, is more than so many bytes."""
        newer = func.sum(_stored).over(order_by=_id.desc()).label("newer")
        sums = select(_id, newer).where(_stored.is_not(None)).subquery()
        over = select(func.max(sums.c.id)).where(sums.c.newer > size)
        async with self._database.reading() as connection:
            found: str | None = (await connection.execute(over)).scalar()
        return found

    async def with_images(self, last: str, count: int) -> Sequence[str]:
        """The oldest, up to one, that have a stored image, at most so many."""
        query = select(_id).where(_stored.is_not(None), _id <= last).order_by(_id).limit(count)
        async with self._database.reading() as connection:
            return (await connection.execute(query)).scalars().all()

    async def erase(self, ids: Sequence[str]) -> None:
        """Take results away."""
        async with self._database.writing() as connection:
            await connection.execute(delete(results).where(_id.in_(ids)))

    async def forget_images(self, ids: Sequence[str]) -> None:
        """Note that results have no stored image any more."""
        async with self._database.writing() as connection:
            await connection.execute(update(results).where(_id.in_(ids)).values(stored_bytes=None))
