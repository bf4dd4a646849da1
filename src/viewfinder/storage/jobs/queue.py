"""The table of jobs as a queue: who works on which, until when, and what comes of it.

A lease says who works on a job. It lapses unless it is renewed, and then another takes the job up
where the last record ended. Whoever has lost a lease can write nothing more: every statement asks
for its token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, and_, bindparam, case, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from viewfinder.storage.database import Database
from viewfinder.storage.jobs.messages import delivery_of
from viewfinder.storage.jobs.rows import Job, JobItem, to_item, to_job
from viewfinder.storage.tables import JOB_OPEN, deliveries, job_items, jobs


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job, and the right to work on it.

    Attributes:
        job: As it was when it was claimed.
        token: Of the lease.
        fruitless: How many claims in a row, with this one, came to no record: 1 where all is well.
    """

    job: Job
    token: str
    fruitless: int


class JobQueue:
    """Who works on what. Every method raises `DatabaseError` if the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, now: datetime) -> bool:
        """Whether there is an open job that nobody works on; changes nothing, and costs little."""
        job = exists().where(JOB_OPEN, _is_free(now)).select_from(jobs)
        async with self._database.reading() as connection:
            return bool((await connection.execute(select(job))).scalar_one())

    async def claim(self, now: datetime, lease_s: float, token: str) -> Claimed | None:
        """Take the open job that nobody works on and that has waited longest for its turn.

        Args:
            now: The time, in UTC.
            lease_s: Seconds after which another may take it, unless the lease is renewed.
            token: A name for the lease that nobody else uses.
        """
        next_one = (
            select(jobs.c.id)
            .where(JOB_OPEN, _is_free(now))
            .order_by(jobs.c.turn)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        async with self._database.writing() as connection:
            identifier = (await connection.execute(next_one)).scalar_one_or_none()
            if identifier is None:
                return None
            rows = await connection.execute(
                update(jobs)
                .where(jobs.c.id == identifier)
                .values(
                    state="running",
                    started=case((jobs.c.started.is_(None), now), else_=jobs.c.started),
                    lease=token,
                    lease_until=now + timedelta(seconds=lease_s),
                    fruitless=jobs.c.fruitless + 1,
                    turn=now,
                )
                .returning(jobs)
            )
            row = rows.mappings().one()
        return Claimed(to_job(row), token, row["fruitless"])

    async def items(self, identifier: str, *, start: int, limit: int) -> list[JobItem]:
        """Images of a job from a position on, in their order, whether or not they are done."""
        query = (
            select(job_items)
            .where(job_items.c.job == identifier, job_items.c.position >= start)
            .order_by(job_items.c.position)
            .limit(limit)
        )
        async with self._database.reading() as connection:
            return [to_item(row) for row in (await connection.execute(query)).mappings()]

    async def record(
        self,
        claim: Claimed,
        done: Sequence[JobItem],
        now: datetime,
        lease_s: float,
        *,
        fruitful: bool = True,
    ) -> bool:
        """Write what came of the next images, and renew the lease.

        It may be asked again with the same images: whose first answer was lost has written once.

        Args:
            claim: The right to do so.
            done: The images, the next ones in their order; at least one.
            now: The time, in UTC.
            lease_s: Seconds of the new lease.
            fruitful: Whether this shows that the job gets on.

        Returns:
            False, with nothing written, if the lease is another's or the job is over.
        """
        recorded, start = jobs.c.succeeded + jobs.c.failed, done[0].position
        until = now + timedelta(seconds=lease_s)
        failed = sum(item.error is not None for item in done)
        values: dict[str, Any] = {
            "succeeded": jobs.c.succeeded + len(done) - failed,
            "failed": jobs.c.failed + failed,
            "lease_until": until,
        }
        if fruitful:
            values["fruitless"] = 0
        rows = [
            {
                "which": item.position,
                "result": item.result,
                "answer": item.answer,
                "error": item.error,
            }
            for item in done
        ]
        write = (
            update(job_items)
            .where(job_items.c.job == claim.job.id, job_items.c.position == bindparam("which"))
            .values({name: bindparam(name) for name in ("result", "answer", "error")})
        )
        async with self._database.writing() as connection:
            if await _change(connection, claim, values, recorded == start):
                await connection.execute(write, rows)
                return True
            # Were they counted twice, as many images behind them would be left out.
            again = {"lease_until": until}
            return await _change(connection, claim, again, recorded == start + len(done))

    async def renew(self, claim: Claimed, now: datetime, lease_s: float) -> bool:
        """Keep the job for longer; False if it is another's, or over."""
        async with self._database.writing() as connection:
            until = now + timedelta(seconds=lease_s)
            return await _change(connection, claim, {"lease_until": until})

    async def is_held(self, claim: Claimed) -> bool:
        """Whether the job is still ours, and not over."""
        async with self._database.reading() as connection:
            held = select(exists().where(_is_ours(claim)))
            return bool((await connection.execute(held)).scalar_one())

    async def release(self, claim: Claimed, now: datetime) -> None:
        """Let another go on with it, when all who wait have had their turn."""
        values = {
            "lease": None,
            "lease_until": None,
            "turn": now,
            # Who gives it back has not died of it.
            "fruitless": case((jobs.c.fruitless > 0, jobs.c.fruitless - 1), else_=0),
        }
        async with self._database.writing() as connection:
            await _change(connection, claim, values)

    async def finish(
        self,
        claim: Claimed,
        state: Literal["succeeded", "failed"],
        error: dict[str, str] | None,
        now: datetime,
    ) -> Job | None:
        """End a job, and have its sender called if that was asked for: both, or neither.

        Args:
            claim: The right to do so.
            state: How it ended.
            error: `code` and `detail` of why it failed.
            now: The time, in UTC.

        Returns:
            The job as it is now; None if it is another's, or was over.
        """
        given = error or {}
        async with self._database.writing() as connection:
            rows = await connection.execute(
                update(jobs)
                .where(_is_ours(claim))
                .values(
                    state=state,
                    finished=now,
                    error_code=given.get("code"),
                    error_detail=given.get("detail"),
                    lease=None,
                    lease_until=None,
                )
                .returning(jobs)
            )
            row = rows.mappings().one_or_none()
            if row is None:
                return None
            job = to_job(row)
            if job.callback_url is not None:
                await connection.execute(deliveries.insert().values(delivery_of(job, now)))
        return job


def _is_free(now: datetime) -> ColumnElement[bool]:
    return or_(jobs.c.lease_until.is_(None), jobs.c.lease_until < now)


def _is_ours(claim: Claimed) -> ColumnElement[bool]:
    return and_(jobs.c.id == claim.job.id, jobs.c.lease == claim.token, JOB_OPEN)


async def _change(
    connection: AsyncConnection,
    claim: Claimed,
    values: dict[str, Any],
    *conditions: ColumnElement[bool],
) -> bool:
    ours = update(jobs).where(_is_ours(claim), *conditions)
    changed = await connection.execute(ours.values(values))
    return changed.rowcount == 1
