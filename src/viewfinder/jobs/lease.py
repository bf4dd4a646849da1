"""The right to work on a job, and what the database is asked for as long as it is held."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Literal, TypeVar

from viewfinder.errors import DatabaseError
from viewfinder.storage.jobs.queue import Claimed, JobQueue
from viewfinder.storage.jobs.rows import Job, JobItem

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

_RETRY_S = 0.5


class LostError(Exception):
    """The lease is another's, or the job is over."""


class Lease:
    """Asks the database again and again while it is away, for as long as the lease lasts.

    Every method raises `LostError` once the job is another's, or over.

    Args:
        claim: The right itself.
        queue: Opens the queue; may raise `DatabaseError`.
        lease_s: Seconds after which another takes the job over, unless the lease is renewed.
        now: The time, in UTC.

    Attributes:
        renewed: When it last was, on the clock of `time.monotonic`.
    """

    def __init__(
        self,
        claim: Claimed,
        queue: Callable[[], Awaitable[JobQueue]],
        lease_s: float,
        now: Callable[[], datetime],
    ) -> None:
        self._claim = claim
        self._queue = queue
        self._lease_s = lease_s
        self._now = now
        self.renewed = time.monotonic()

    async def page(self, start: int, limit: int) -> list[JobItem]:
        """The job's images from a position on."""
        identifier = self._claim.job.id
        return await self._insist(lambda q: q.items(identifier, start=start, limit=limit))

    async def record(self, done: Sequence[JobItem], *, fruitful: bool) -> None:
        """Write down what came of the next images, and renew the lease.

        Args:
            done: The images, in their order; at least one.
            fruitful: Whether this shows that the job gets on.
        """
        self._keep_if(
            await self._insist(
                lambda q: q.record(self._claim, done, self._now(), self._lease_s, fruitful=fruitful)
            )
        )

    async def renew(self) -> None:
        """Keep the job for longer."""
        self._keep_if(
            await self._insist(lambda q: q.renew(self._claim, self._now(), self._lease_s))
        )

    async def check(self) -> None:
        """Find out whether the job is still ours."""
        if not await self._insist(lambda q: q.is_held(self._claim)):
            raise LostError

    async def others_wait(self) -> bool:
        """Whether there are open jobs that nobody works on."""
        return await self._insist(lambda q: q.look(self._now()))

    async def finish(
        self, state: Literal["succeeded", "failed"], error: dict[str, str] | None = None
    ) -> Job | None:
        """End the job; it is given back as it is then."""
        return await self._insist(lambda q: q.finish(self._claim, state, error, self._now()))

    async def release(self) -> None:
        """Let another go on with the job."""
        await self._insist(lambda q: q.release(self._claim, self._now()))

    def _keep_if(self, held: bool) -> None:
        if not held:
            raise LostError
        self.renewed = time.monotonic()

    async def _insist(self, ask: Callable[[JobQueue], Awaitable[Result]]) -> Result:
        """Ask the database until it answers, or the lease has lapsed."""
        while True:
            try:
                return await ask(await self._queue())
            except DatabaseError as error:
                if time.monotonic() - self.renewed >= self._lease_s:
                    logger.warning("the job %s is given up: %s", self._claim.job.id, error)
                    raise LostError from error
            await asyncio.sleep(_RETRY_S)
