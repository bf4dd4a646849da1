"""What a process does for jobs, turn after turn. Imports SQLAlchemy: see `runner`."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from viewfinder.jobs.counts import JobCounts
from viewfinder.jobs.images import ImageWork
from viewfinder.jobs.runner import Parts
from viewfinder.jobs.sweeper import Sweeper
from viewfinder.jobs.turn import Pace, Turn
from viewfinder.storage.jobs.queue import JobQueue
from viewfinder.storage.jobs.rows import Job
from viewfinder.storage.link import DatabaseLink

logger = logging.getLogger(__name__)

# Images in work, for each compute thread and at least: while some are computed, others are on their
# way from S3.
_PER_THREAD, _LEAST_WINDOW = 4, 16
# After which another job that waits has its turn.
_SLICE_S = 10.0


class Working:
    """Works on jobs, one at a time.

    Args:
        database: Where they are.
        work: Answers their images.
        sweeper: Takes away what is left of them.
        pace: How to work on one.
        now: The time, in UTC.
        counts: What is done.
    """

    def __init__(
        self,
        database: DatabaseLink,
        work: ImageWork,
        sweeper: Sweeper,
        pace: Pace,
        now: Callable[[], datetime],
        *,
        counts: JobCounts | None = None,
    ) -> None:
        self._database = database
        self._work = work
        self._sweeper = sweeper
        self._pace = pace
        self._now = now
        self._counts = counts or JobCounts()
        self._turn: Turn | None = None
        self._stop = asyncio.Event()

    async def turn(self) -> bool:
        """Take the next job and work on it until it is over or another's turn has come.

        Returns:
            Whether there was one.

        Raises:
            DatabaseError: The database cannot be used.
        """
        queue = await self._queue()
        if self._stop.is_set() or not await queue.look(self._now()):
            return False
        claim = await queue.claim(self._now(), self._pace.lease_s, str(uuid.uuid4()))
        if claim is None:
            return False
        self._turn = Turn(
            claim, self._queue, self._work, self._pace, self._now, counts=self._counts
        )
        if self._stop.is_set():  # meanwhile
            self._turn.stop()
        began = time.monotonic()
        try:
            job = await self._turn.run()
        finally:
            self._turn = None
        if job is not None:
            self._counts.finished[job.state] += 1
            _tell(job, time.monotonic() - began)
        return True

    def stop(self) -> None:
        """Take no more, and end the turn at the one in hand."""
        self._stop.set()
        if self._turn is not None:
            self._turn.stop()

    async def sweep(self) -> None:
        """Take away what is left of jobs that are over.

        Raises:
            DatabaseError: The database cannot be used.
            OSError: The blobs cannot be.
        """
        await self._sweeper.sweep()

    async def _queue(self) -> JobQueue:
        return JobQueue(await self._database.open())


def open_working(parts: Parts) -> Working:
    """Put together what works on jobs as the settings say it."""
    settings = parts.settings
    window = max(_LEAST_WINDOW, _PER_THREAD * settings.compute_threads)
    return Working(
        parts.database,
        ImageWork(parts.models, parts.classify, parts.blobs, parts.fetcher),
        Sweeper(parts.database, parts.blobs, settings.jobs, _now),
        Pace(
            settings.jobs.lease_s,
            min(window, settings.queue_size),
            slice_s=_SLICE_S,
            first_s=settings.fetch.timeout_s if settings.fetch.enabled else 0.0,
        ),
        _now,
        counts=parts.counts,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def _tell(job: Job, seconds: float) -> None:
    logger.info(
        "the job %s has %s: %d of %d images answered, %d failed; the last turn took %.1f s%s",
        job.id,
        job.state,
        job.succeeded,
        job.total,
        job.failed,
        seconds,
        f": {job.error_detail}" if job.error_detail else "",
    )
