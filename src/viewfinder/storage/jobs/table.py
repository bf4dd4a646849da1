"""Jobs, as those see them who send them and ask for what came of them."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import func, null, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from viewfinder.errors import (
    ConflictError,
    IdempotencyKeyReusedError,
    JobNotFoundError,
    OverloadedError,
)
from viewfinder.storage.database import Database
from viewfinder.storage.jobs.rows import Job, JobItem, to_item, to_job
from viewfinder.storage.tables import JOB_OPEN, job_items, jobs

_RETRY_AFTER_S = 30
# Images that are written at a time: to prepare ten thousand takes the event loop a quarter second.
_ROWS = 250


class Jobs:
    """The table of jobs. Every method raises `DatabaseError` if the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, job: Job, items: Sequence[JobItem], *, most_waiting: int) -> Job:
        """Accept a job with all its images, or nothing of it.

        Args:
            job: What is asked for.
            items: Its images, at the positions from 0 on; those without a URL lie at `input_key`.
            most_waiting: As many jobs may be open, with this one.

        Returns:
            The job; the one that there is already if it came with the same request key.

        Raises:
            IdempotencyKeyReusedError: That one was another.
            OverloadedError: Too many jobs are open.
        """
        async with self._database.writing() as connection:
            if (known := await _same(connection, job)) is not None:
                return known
            await _check_room(connection, most_waiting)
            try:
                async with connection.begin_nested():
                    await connection.execute(jobs.insert().values(_row(job, items)))
            except IntegrityError:  # on PostgreSQL, another may have come between
                if (known := await _same(connection, job)) is None:
                    raise
                return known
            for first in range(0, len(items), _ROWS):
                rows = [{"job": job.id, **asdict(item)} for item in items[first : first + _ROWS]]
                await connection.execute(job_items.insert(), rows)
        return job

    async def get(self, identifier: str) -> Job:
        """One job.

        Raises:
            JobNotFoundError: There is none of that id.
        """
        async with self._database.reading() as connection:
            return await _get(connection, identifier)

    async def check_room(self, most_waiting: int) -> None:
        """Find out, before much has been done for it, whether another job would be accepted.

        Raises:
            OverloadedError: So many are open.
        """
        async with self._database.reading() as connection:
            await _check_room(connection, most_waiting)

    async def page(self, *, state: str | None, before: str | None, limit: int) -> list[Job]:
        """Jobs, newest first.

        Args:
            state: Only those that are in it.
            before: Only those older than the one of this id.
            limit: At most so many.
        """
        query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(jobs.c.state == state)
        if before is not None:
            query = query.where(jobs.c.id < before)
        async with self._database.reading() as connection:
            return [to_job(row) for row in (await connection.execute(query)).mappings()]

    async def items(
        self, identifier: str, *, after: int, limit: int, failed: bool | None = None
    ) -> list[JobItem]:
        """Images of a job that have been worked on, in their order.

        Args:
            identifier: The job's id; of one that is not there, there are none.
            after: Only those behind this position; -1 for the first ones.
            limit: At most so many.
            failed: Only those with an error in place of an answer, or without; None for both.
        """
        done = select(jobs.c.succeeded + jobs.c.failed).where(jobs.c.id == identifier)
        place = job_items.c.position
        query = (
            select(job_items)
            .where(job_items.c.job == identifier, place > after, place < done.scalar_subquery())
            .order_by(place)
            .limit(limit)
        )
        if failed is not None:
            answer = job_items.c.answer
            query = query.where(answer.is_(null()) if failed else answer.is_not(null()))
        async with self._database.reading() as connection:
            return [to_item(row) for row in (await connection.execute(query)).mappings()]

    async def cancel(self, identifier: str, now: datetime) -> Job:
        """End a job; what has been answered stays.

        Whoever works on it finds out within a second. The images that were sent are deleted by the
        next worker that looks for work.

        Raises:
            ConflictError: It is over already.
            JobNotFoundError: There is none of that id.
        """
        async with self._database.writing() as connection:
            rows = await connection.execute(
                update(jobs)
                .where(jobs.c.id == identifier, JOB_OPEN)
                .values(state="cancelled", finished=now, lease=None, lease_until=None)
                .returning(jobs)
            )
            row = rows.mappings().one_or_none()
            if row is not None:
                return to_job(row)
            found = await _get(connection, identifier)
            raise ConflictError(f"The job is over already: it is {found.state}.")


def _row(job: Job, items: Sequence[JobItem]) -> dict[str, Any]:
    waits = {"fruitless": 0, "turn": job.created}
    return asdict(job) | waits | {"inputs": any(item.url is None for item in items)}


async def _get(connection: AsyncConnection, identifier: str) -> Job:
    rows = await connection.execute(select(jobs).where(jobs.c.id == identifier))
    row = rows.mappings().one_or_none()
    if row is None:
        raise JobNotFoundError("There is no such job.")
    return to_job(row)


async def _find_by_key(connection: AsyncConnection, request_key: str) -> Job | None:
    rows = await connection.execute(select(jobs).where(jobs.c.request_key == request_key))
    row = rows.mappings().one_or_none()
    return None if row is None else to_job(row)


async def _check_room(connection: AsyncConnection, most_waiting: int) -> None:
    count = select(func.count()).select_from(jobs).where(JOB_OPEN)
    if (await connection.execute(count)).scalar_one() >= most_waiting:
        raise OverloadedError(
            "Too many jobs are waiting already; try again later.", retry_after_s=_RETRY_AFTER_S
        )


async def _same(connection: AsyncConnection, job: Job) -> Job | None:
    """The job that the same request has made before."""
    if job.request_key is None:
        return None
    known = await _find_by_key(connection, job.request_key)
    if known is not None and known.request_digest != job.request_digest:
        raise IdempotencyKeyReusedError(
            "This Idempotency-Key came with another job before; a new job needs a new key."
        )
    return known
