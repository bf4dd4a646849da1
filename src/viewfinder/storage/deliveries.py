"""Callbacks: what is still to be sent, to whom, and how often that was tried."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import RowMapping, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from viewfinder.storage.database import Database
from viewfinder.storage.tables import deliveries, delivery_attempts

DeliveryState = Literal["waiting", "delivered", "refused", "expired"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One callback.

    Attributes:
        id: `msg_` and a UUIDv7 as 32 hexadecimal digits; the same in every attempt.
        job: The job that it tells of.
        created: When there was something to tell.
        owner: The id of the key that the job belongs to; None where none is asked for.
        type: `job.succeeded` or `job.failed`.
        url: Where to, as it was given.
        body: What is sent, as JSON text.
        state: `waiting` to be sent; `delivered`; `refused` by its receiver for good (410);
            `expired`, for nobody took it in all that time.
        attempts: Made since it was last made due: its place in the schedule.
        due: When it is next sent; None once it is not sent any more.
        finished: When it was delivered, refused or given up.
    """

    id: str
    job: str
    created: datetime
    owner: str | None
    type: str
    url: str
    body: str
    state: DeliveryState
    attempts: int
    due: datetime | None
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call.

    Attributes:
        began: When.
        seconds: How long it took.
        status: What was answered; None if nothing was.
        error: What went wrong, in one sentence that says nothing about the network inside.
    """

    began: datetime
    seconds: float
    status: int | None = None
    error: str | None = None


class Deliveries:
    """The table of callbacks, which is their queue too.

    Every method raises `DatabaseError` if the database cannot be used.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self,
        now: datetime,
        lease_s: float,
        token: str,
        limit: int,
        *,
        busy: Collection[str] = (),
    ) -> list[Delivery]:
        """Take some that are due, and that nobody else has in hand.

        Args:
            now: Now.
            lease_s: Seconds after which others may take them: who took them may have died.
            token: Who takes them; another for each claim.
            limit: How many at most.
            busy: Beginnings of URLs that are not called now.
        """
        due = (
            (deliveries.c.state == "waiting")
            & (deliveries.c.due <= now)
            & or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= now)
        )
        for origin in busy:
            due &= func.substr(deliveries.c.url, 1, len(origin)) != origin
        found = select(deliveries.c.id).where(due).order_by(deliveries.c.due).limit(limit)
        # On SQLite whoever writes waits for the others: mostly there is nothing to write.
        async with self._database.reading() as connection:
            if (await connection.execute(found.limit(1))).first() is None:
                return []
        async with self._database.writing() as connection:
            # SQLite knows no locks of rows and needs none: there one transaction writes at a time.
            ids = await connection.execute(found.with_for_update(skip_locked=True))
            rows = await connection.execute(
                update(deliveries)
                .where(deliveries.c.id.in_(ids.scalars().all()))
                .values(lease=token, lease_until=now + timedelta(seconds=lease_s))
                .returning(deliveries)
            )
            return [_delivery(row) for row in rows.mappings()]

    async def record(
        self,
        delivery: Delivery,
        token: str,
        attempt: Attempt,
        outcome: DeliveryState,
        *,
        next_due: datetime | None,
        now: datetime,
    ) -> bool:
        """Keep an attempt, and what comes of it.

        Args:
            delivery: As it was claimed.
            token: Of that claim.
            attempt: How it went.
            outcome: What the callback is from now on.
            next_due: When it is sent again, if it is `waiting`.
            now: Now.

        Returns:
            False, and nothing is kept, if another has claimed it since.
        """
        is_over = outcome != "waiting"
        async with self._database.writing() as connection:
            ours = await connection.execute(
                update(deliveries)
                .where(deliveries.c.id == delivery.id, deliveries.c.lease == token)
                .values(
                    state=outcome,
                    attempts=delivery.attempts + 1,
                    due=next_due,
                    lease=None,
                    lease_until=None,
                    finished=now if is_over else None,
                )
                .returning(deliveries.c.id)
            )
            if ours.first() is None:
                return False
            await _add(connection, delivery.id, attempt)
            return True

    async def of_job(self, job: str) -> list[tuple[Delivery, tuple[Attempt, ...]]]:
        """The callbacks of a job, oldest first, and how often each was tried."""
        async with self._database.reading() as connection:
            rows = await connection.execute(
                select(deliveries).where(deliveries.c.job == job).order_by(deliveries.c.id)
            )
            found = [_delivery(row) for row in rows.mappings()]
            tried = await connection.execute(
                select(delivery_attempts)
                .where(delivery_attempts.c.delivery.in_([delivery.id for delivery in found]))
                .order_by(delivery_attempts.c.number)
            )
            attempts: dict[str, list[Attempt]] = {delivery.id: [] for delivery in found}
            for row in tried.mappings():
                attempts[row["delivery"]].append(_attempt(row))
        return [(delivery, tuple(attempts[delivery.id])) for delivery in found]

    async def redeliver(self, which: str, now: datetime) -> list[str]:
        """Send callbacks again, whatever became of them; their ids stay.

        One that is being sent at this moment is not sent once more for that.

        Args:
            which: The id of a callback, or of a job.
            now: From when on.

        Returns:
            Their ids; empty if there is none.
        """
        meant = or_(deliveries.c.id == which, deliveries.c.job == which)
        async with self._database.writing() as connection:
            rows = await connection.execute(
                update(deliveries)
                .where(meant)
                .values(state="waiting", attempts=0, due=now, finished=None)
                .returning(deliveries.c.id)
            )
            return sorted(rows.scalars().all())


async def _add(connection: AsyncConnection, delivery: str, attempt: Attempt) -> None:
    """One more attempt; the row of its delivery is locked, so nobody else takes that number."""
    last = await connection.execute(
        select(func.max(delivery_attempts.c.number)).where(delivery_attempts.c.delivery == delivery)
    )
    await connection.execute(
        delivery_attempts.insert().values(
            delivery=delivery,
            number=(last.scalar() or 0) + 1,
            began=attempt.began,
            seconds=attempt.seconds,
            status=attempt.status,
            error=attempt.error,
        )
    )


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(**{name: row[name] for name in Delivery.__slots__})


def _attempt(row: RowMapping) -> Attempt:
    return Attempt(**{name: row[name] for name in Attempt.__slots__})
