"""One turn at one job: its next images through a window, recorded in chunks, in their order."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from viewfinder.jobs.counts import JobCounts
from viewfinder.jobs.images import FATAL, ImageWork, ModelGoneError
from viewfinder.jobs.lease import Lease, LostError
from viewfinder.storage.jobs.queue import Claimed, JobQueue
from viewfinder.storage.jobs.rows import Job, JobItem

logger = logging.getLogger(__name__)

_PAGE = 256
# Images that are read together, beside those in the window.
_AHEAD = 8
_CHUNK, _CHUNK_S = 64, 1.0
# Answered images that wait behind a slow one.
_MOST_UNRECORDED = 512
# So many images are worked on one by one where a process may have died of one.
_CAREFUL = 64
# The first claim has them all in the window; three more have this one image alone in hand.
_GIVES_UP_IMAGE = 5
_GIVES_UP_JOB = 8
_HOPELESS = {
    "code": "internal_error",
    "detail": "The server's process ended again and again while it worked on this job.",
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How a job is worked on.

    Attributes:
        lease_s: Seconds after which another takes it over, unless the lease is renewed.
        window: Images in work at a time.
        slice_s: Seconds after which another job that waits gets its turn.
        grace_s: Seconds for the images in work when the turn ends early.
        first_s: Seconds that a turn is longer as long as it has come to no record: what a single
            image may take. Who had to begin with it anew in each turn would never get on.
    """

    lease_s: float
    window: int
    slice_s: float
    grace_s: float = 2.0
    first_s: float = 0.0


class _StoppedError(Exception):
    """The turn ends early."""


class Turn:
    """Works on a job for as long as it may.

    Args:
        claim: The right to do so.
        queue: Opens the queue; may raise `DatabaseError`.
        work: Answers the images.
        pace: How.
        now: The time, in UTC.
        counts: What is done.
    """

    def __init__(
        self,
        claim: Claimed,
        queue: Callable[[], Awaitable[JobQueue]],
        work: ImageWork,
        pace: Pace,
        now: Callable[[], datetime],
        *,
        counts: JobCounts | None = None,
    ) -> None:
        self._claim = claim
        self._lease = Lease(claim, queue, pace.lease_s, now)
        self._work = work
        self._pace = pace
        self._counts = counts or JobCounts()
        self._tasks: deque[asyncio.Task[JobItem]] = deque()
        self._changed = asyncio.Event()
        self._stopping = False
        self._chunk: list[JobItem] = []
        self._in_work = self._ready = 0
        self._unrecorded = asyncio.Semaphore(_MOST_UNRECORDED)
        self._done = claim.job.done
        self._began = self._recorded = self._seen = time.monotonic()

    def stop(self) -> None:
        """End the turn as soon as what is in work is done."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> Job | None:
        """Work until the job is over, another's turn has come, or `stop` is called.

        Returns:
            The job, if it is over through this.
        """
        try:
            if self._claim.fruitless > _GIVES_UP_JOB:
                return await self._lease.finish("failed", _HOPELESS)
            if self._claim.fruitless > 1:
                await self._carefully()
            await self._stream(window=self._pace.window, chunk=_CHUNK)
            return await self._lease.finish("succeeded")
        except ModelGoneError as error:
            return await self._fail(error.error)
        except _StoppedError:
            await self._hand_on()
        except LostError:
            logger.info("the job %s is another's, or over", self._claim.job.id)
        return None

    # -- images

    async def _carefully(self) -> None:
        """Find the image that a process has died of, if it was one, and leave it out."""
        if self._claim.fruitless >= _GIVES_UP_IMAGE:
            for item in await self._lease.page(self._done, 1):
                logger.error(
                    "the job %s: no process survives its image %d",
                    self._claim.job.id,
                    item.position,
                )
                self._chunk.append(replace(item, error=FATAL))
                await self._record(fruitful=False)
        self._unrecorded = asyncio.Semaphore(1)
        await self._stream(window=1, chunk=1, count=_CAREFUL)
        self._unrecorded = asyncio.Semaphore(_MOST_UNRECORDED)

    async def _stream(self, *, window: int, chunk: int, count: int | None = None) -> None:
        """Work on the next images, all of them or so many.

        Raises:
            ModelGoneError: There is nobody to ask.
            LostError: The lease is another's, or the job is over.
            _StoppedError: The turn ends early.
        """
        try:
            async with _beside(self._feed(window, chunk, count)) as feeding:
                feeding.add_done_callback(lambda _: self._changed.set())
                while await self._advance(feeding, chunk):
                    pass
        except _StoppedError:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._pace.grace_s)
            self._collect()
            await self._record()
            raise
        finally:
            await self._drop()  # once nothing comes to it any more

    async def _feed(self, window: int, chunk: int, count: int | None) -> None:
        """Start work on image after image, as many at a time as the window has room for."""
        gate = asyncio.Semaphore(window)

        def ended(task: asyncio.Task[JobItem]) -> None:
            gate.release()
            self._in_work -= 1
            self._ready += 1
            # To look at each of them by itself would cost as much as recording it.
            if self._ready >= chunk or not self._in_work or task.cancelled() or task.exception():
                self._changed.set()

        position = self._done
        total = self._claim.job.total
        last = total if count is None else min(total, position + count)
        while position < last:
            page = await self._lease.page(position, min(_PAGE, last - position))
            if not page:
                return
            async for item, data in self._read(page, min(_AHEAD, window)):
                await self._unrecorded.acquire()
                await gate.acquire()
                task = asyncio.create_task(self._work.answer(self._claim.job, item, data))
                self._in_work += 1
                task.add_done_callback(ended)
                self._tasks.append(task)
            position += len(page)

    async def _read(
        self, items: Sequence[JobItem], ahead: int
    ) -> AsyncIterator[tuple[JobItem, bytes | None]]:
        """Images with their bytes where they lie near, a few read at a time."""
        for first in range(0, len(items), ahead):
            group = items[first : first + ahead]
            read = await self._work.read_ahead(self._claim.job, group)
            for pair in zip(group, read, strict=True):
                yield pair

    async def _advance(self, feeding: asyncio.Task[None], chunk: int) -> bool:
        """Wait for something to happen, and see to it; False once nothing is left to do."""
        await self._wait()
        if self._stopping:
            raise _StoppedError
        over = feeding.done()
        if over:
            feeding.result()
        gone = self._collect()
        over = over and not self._tasks
        now = time.monotonic()
        if over or gone or len(self._chunk) >= chunk or now - self._recorded >= _CHUNK_S:
            await self._record()
        if gone is not None:
            raise gone
        await self._look_around()
        return not over

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(min(_CHUNK_S, self._pace.lease_s / 3)):
                await self._changed.wait()
        except TimeoutError:
            return
        self._changed.clear()

    def _collect(self) -> ModelGoneError | None:
        """Take what is done, up to the first image that is not."""
        self._ready = 0
        while self._tasks and self._tasks[0].done():
            task = self._tasks.popleft()
            try:
                self._chunk.append(task.result())
            except ModelGoneError as error:
                return error
        return None

    async def _drop(self) -> None:
        """Leave what is in work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    # -- the database

    async def _record(self, *, fruitful: bool = True) -> None:
        """Write down what is done. The work on the next images goes on meanwhile."""
        chunk, self._chunk = self._chunk, []
        self._recorded = time.monotonic()
        if not chunk:
            return
        await self._lease.record(chunk, fruitful=fruitful)
        self._done += len(chunk)
        failed = sum(item.error is not None for item in chunk)
        self._counts.images["failed"] += failed
        self._counts.images["succeeded"] += len(chunk) - failed
        for _ in chunk:
            self._unrecorded.release()

    async def _look_around(self) -> None:
        """Once a second or so: is the job still ours, and does another wait for its turn?"""
        now = time.monotonic()
        held_s = now - self._lease.renewed
        if held_s >= self._pace.lease_s / 3:
            await self._lease.renew()
        elif now - self._seen < _CHUNK_S:
            return
        elif held_s >= _CHUNK_S:
            await self._lease.check()
        self._seen = time.monotonic()
        fruitless = self._done == self._claim.job.done
        is_over = now - self._began >= self._pace.slice_s + fruitless * self._pace.first_s
        if is_over and await self._lease.others_wait():
            raise _StoppedError

    async def _fail(self, error: dict[str, str]) -> Job | None:
        try:
            return await self._lease.finish("failed", error)
        except LostError:
            return None

    async def _hand_on(self) -> None:
        try:
            await self._lease.release()
        except LostError:
            return


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """Run something beside the block, and end it with the block."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
