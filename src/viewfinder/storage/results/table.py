"""Results: the answers that were given, and what people said of them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from importlib import import_module
from typing import Any

from sqlalchemy import bindparam, delete, func, null, select, update
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from viewfinder.errors import DatabaseError
from viewfinder.storage.database import SQLITE, Database
from viewfinder.storage.results import paging
from viewfinder.storage.results.rows import Page, Result, Tally, result_of, row_of
from viewfinder.storage.results.wanted import Place, Wanted
from viewfinder.storage.tables import job_items, results

_OF_AN_IMAGE = 500
# Rows that are made at once: a hundred hold up the event loop for a few milliseconds.
_AT_ONCE = 100
# What a row is at fault for, and not the database.
_FAULTS = (DataError, IntegrityError)


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
                rows = [row_of(result) for result in new[begin : begin + _AT_ONCE]]
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

    async def get(self, identifier: str) -> Result | None:
        """The result of that id, or None."""
        async with self._database.reading() as connection:
            rows = await connection.execute(select(results).where(results.c.id == identifier))
            row = rows.mappings().one_or_none()
        return None if row is None else result_of(row)

    async def page(self, wanted: Wanted) -> Page:
        """Those that are wanted, as many as a page has."""
        async with self._database.reading() as connection:
            rare = await _is_rare(connection, wanted)
            rows = await connection.execute(paging.page_of(wanted, rare=rare))
            found = [result_of(row) for row in rows.mappings()]
        page = tuple(found[: wanted.limit])
        return Page(page, _place(page[-1], wanted) if len(found) > wanted.limit else None)

    async def pages(self, wanted: Wanted) -> AsyncIterator[tuple[Result, ...]]:
        """All that are wanted, page by page; no transaction is held between two."""
        while True:
            page = await self.page(wanted)
            if page.results:
                yield page.results
            if page.last is None:
                return
            wanted = replace(wanted, after=page.last)

    async def count(self, wanted: Wanted) -> int:
        """How many are wanted in all."""
        async with self._database.reading() as connection:
            return (await connection.execute(paging.count_of(wanted))).scalar_one()

    async def of_image(self, sha256: str) -> tuple[Result, ...]:
        """Some of the results for an image, by the digest of its file."""
        of_image = select(results).where(results.c.image_sha256 == sha256).limit(_OF_AN_IMAGE)
        async with self._database.reading() as connection:
            return tuple(result_of(row) for row in (await connection.execute(of_image)).mappings())

    async def erase(self, which: Sequence[str], *, in_place: Mapping[str, Any]) -> int:
        """Erase results, and the copies of them that jobs have.

        Args:
            which: Their ids, a few hundred at most.
            in_place: The problem that a job says in place of the answer.

        Returns:
            How many there were.
        """
        copies = (
            update(job_items)
            .where(job_items.c.result.in_(which))
            .values(answer=null(), error=dict(in_place))
        )
        # In one order, so that two who want several rows do not wait for each other.
        held = select(results.c.id).where(results.c.id.in_(which)).order_by(results.c.id)
        async with self._database.writing() as connection:
            await connection.execute(held.with_for_update())
            await connection.execute(copies)
            rows = await connection.execute(delete(results).where(results.c.id.in_(which)))
        return rows.rowcount

    async def review(
        self,
        identifier: str,
        feedback: str | None,
        *,
        now: datetime,
        note: str | None = None,
        reviewer: str | None = None,
        owner: str | None = None,
    ) -> Result | None:
        """Note what a person says that a photo shows, in place of what was said before.

        Args:
            identifier: Of the result.
            feedback: What it shows; None takes back what was said.
            now: When.
            note: What else that person says.
            reviewer: The id of the key that says so.
            owner: The key whose result it must be, if it must.

        Returns:
            The result as it is now; None if there is no such.
        """
        said = {"feedback": feedback, "note": note, "reviewed": now, "reviewer": reviewer}
        change = update(results).where(results.c.id == identifier).returning(results)
        if owner is not None:
            change = change.where(results.c.owner == owner)
        change = change.values(said if feedback is not None else dict.fromkeys(said))
        async with self._database.writing() as connection:
            row = (await connection.execute(change)).mappings().one_or_none()
        return None if row is None else result_of(row)

    async def tallies(self, wanted: Wanted) -> tuple[Tally, ...]:
        """Counts of the reviewed results of a model, from a span of time.

        Args:
            wanted: `model`, `since` and `until` of it are looked at.
        """
        columns = (results.c.version, results.c.label, results.c.feedback, results.c.abstained)
        counted = (
            select(*columns, func.count().label("count"))
            .where(results.c.model == wanted.model, results.c.feedback.is_not(None))
            .where(*paging.span(wanted, results.c.id))
            .group_by(*columns)
            .order_by(*columns)
        )
        async with self._database.reading() as connection:
            return tuple(Tally(**row) for row in (await connection.execute(counted)).mappings())

    async def has_model(self, name: str) -> bool:
        """Whether there is a result of a model."""
        one = select(results.c.id).where(results.c.model == name).limit(1)
        async with self._database.reading() as connection:
            return (await connection.execute(one)).first() is not None


async def _is_rare(connection: AsyncConnection, wanted: Wanted) -> bool:
    """Whether few have the confidence that is wanted; PostgreSQL has statistics of that."""
    if connection.dialect.name != SQLITE or not paging.may_be_rare(wanted):
        return False
    counted = await connection.execute(paging.some_as_sure(wanted))
    return counted.scalar_one() <= paging.RARE


def _place(result: Result, wanted: Wanted) -> Place:
    return Place(result.id, result.confidence if wanted.order == "uncertain" else None)
