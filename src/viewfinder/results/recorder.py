"""Records answers: noted in memory at once, written down in batches by somebody else."""

import asyncio
import contextlib
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from viewfinder.errors import OperatorError
from viewfinder.results.images import ImageKeeper
from viewfinder.results.losses import Losses
from viewfinder.results.waiting import Waiting
from viewfinder.serving.recording import Answered
from viewfinder.shared.seldom import Seldom
from viewfinder.storage.link import DatabaseLink
from viewfinder.telemetry.tracing import trace

logger = logging.getLogger(__name__)

READY = "ready"

_BATCH = 500
_GATHER_S = 1.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 30.0
_CLOSE_S = 2.0  # of the seven that the server has for what is left to do at its end


class ResultRecorder:
    """The records of one process. See `viewfinder.serving.recording.Recorder`.

    A row waits for others, at most a second, and is then written with them in one transaction. A
    database that is away costs answers nothing: rows wait in memory, tries become rarer, and what
    does not fit is counted as lost. An image is worked on when its row is there, so that a crash
    leaves no image without one, and the row says that there is an image when it is.

    Args:
        link: Opens the database when there is something to write.
        buffer: How many answers may wait.
        images: Stores the images; None where they are not kept.
        gather_s: Seconds that an answer waits for others.
        clock: Seconds, from any moment on.

    Attributes:
        images: Stores the images, and counts those that are lost.
        recorded: Answers that were taken note of.
        written: Of these, how many are in the database.
        losses: Answers that there was no room for, or that no database takes.
        failures: Tries to write that have failed.
    """

    def __init__(
        self,
        link: DatabaseLink,
        *,
        buffer: int,
        images: ImageKeeper | None = None,
        gather_s: float = _GATHER_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.images = images
        self.recorded = 0
        self.written = 0
        self.losses = Losses(clock)
        self.failures = 0
        self._link = link
        self._buffer = buffer
        self._gather_s = gather_s
        self._waiting: deque[Waiting] = deque()
        self._something = asyncio.Event() if images is None else images.news
        self._hurry = asyncio.Event()
        self._ending = asyncio.Event()
        self._tried = asyncio.Event()
        self._away = False
        self._log = Seldom()
        self._writer: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Answers that wait to be written."""
        return len(self._waiting)

    @property
    def state(self) -> str:
        """`ready`, or what is wrong, for people; it names nothing that is private."""
        wrong = []
        if self._away:
            wrong.append(f"the database cannot be used; {self._numbers}")
        elif self.losses.lately:
            wrong.append(f"results were lost just now; {self._numbers}")
        if self.images is not None and (self.images.failing or self.images.losses.lately):
            what = "images cannot be stored" if self.images.failing else "images were lost just now"
            wrong.append(f"{what}; {self.images.losses.count} are lost")
        return "; ".join(wrong) or READY

    def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write_on())

    def record(self, answered: Answered) -> None:
        """See `Recorder.record`."""
        if len(self._waiting) >= self._buffer or self._ending.is_set():
            self.losses.add()
            if self.images is not None:
                self.images.losses.add()
            return
        with_image = self.images is not None and self.images.reserve(answered.data)
        self._waiting.append(Waiting.of(answered, with_image=with_image))
        self.recorded += 1
        self._something.set()
        if len(self._waiting) >= _BATCH:
            self._hurry.set()

    async def flush(self) -> bool:
        """Have written what waits now; whether it is, since the database may be out of reach."""
        last = self.recorded
        while self.recorded - self.waiting < last:
            if self._away or self._ending.is_set():
                return False
            self._hurry.set()
            await self._tried.wait()
        return True

    async def close(self) -> None:
        """Write what waits, for a few seconds at most; the rest is lost, and the log says so."""
        self._ending.set()
        self._something.set()
        self._hurry.set()
        writer, self._writer = self._writer, None
        if writer is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await self._finish(writer)
        if self.images is not None:
            await self.images.close()
        if self._waiting:
            logger.warning("%d results could not be written before the end", self.waiting)
        self._lose(self._take(self.waiting))
        self._tried.set()

    async def _finish(self, writer: asyncio.Task[None]) -> None:
        await writer
        if not self._away:
            await self._write_all()
        if self.images is not None and not self._away:
            await self.images.settled()
            await self._write_all()

    async def _write_on(self) -> None:
        while not self._ending.is_set():
            await self._something.wait()
            self._something.clear()
            await _wait(self._hurry, self._gather_s)
            await self._write_all()

    async def _write_all(self) -> None:
        """Write until nothing waits; at the end of the process, until it does not work."""
        pause = _FIRST_PAUSE_S
        while self._waiting or (self.images is not None and self.images.stored):
            self._hurry.clear()
            self._away = not await self._write_some()
            tried, self._tried = self._tried, asyncio.Event()
            tried.set()
            if not self._away:
                pause = _FIRST_PAUSE_S
                continue
            if self._ending.is_set():
                return
            await _wait(self._ending, pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    async def _write_some(self) -> bool:
        """Write one batch, and which images there are; whether the database could be used."""
        try:
            database = await self._link.open()
            rows = await asyncio.to_thread(import_module, "viewfinder.results.rows")
            with trace("record") as noted:
                noted.set("viewfinder.rows", min(self.waiting, _BATCH))
                await self._write_batch(rows, database)
                await self._mark_images(rows, database)
        except OperatorError as error:
            self.failures += 1
            if self._log.may_speak():
                logger.warning("%s; %s", error.detail, self._numbers)
            return False
        except Exception:  # a fault of ours: who ends here would record nothing any more
            self.failures += 1
            if self._log.may_speak():
                logger.exception("results cannot be written; %s", self._numbers)
            return False
        if self._away:
            logger.info("results can be written again; %s", self._numbers)
        return True

    async def _write_batch(self, rows: Any, database: Any) -> None:
        batch = list(itertools.islice(self._waiting, _BATCH))
        try:
            refused = await rows.write(database, batch)
        except OperatorError:
            raise
        except Exception:
            # Nobody knows what it is; with the next try it would be the same.
            logger.exception("%d results cannot be written, and are lost", len(batch))
            self._lose(self._take(len(batch)))
            return
        taken = self._take(len(batch))
        if refused:
            logger.error("%d results that no database takes are lost", len(refused))
        self._lose(answer for answer in taken if answer.prediction.id in refused)
        for answer in taken:
            if answer.prediction.id not in refused:
                self._written(answer)

    def _take(self, count: int) -> list[Waiting]:
        """Take out the first ones: they are written, or lost."""
        return [self._waiting.popleft() for _ in range(count)]

    def _written(self, answer: Waiting) -> None:
        self.written += 1
        if self.images is not None and answer.image is not None:
            self.images.store(answer.prediction.id, answer.image)

    def _lose(self, answers: Iterable[Waiting]) -> None:
        for answer in answers:
            self.losses.add()
            if self.images is not None and answer.image is not None:
                self.images.release(answer.image)

    @property
    def _numbers(self) -> str:
        return f"{self.waiting} results wait, {self.losses.count} are lost"

    async def _mark_images(self, rows: Any, database: Any) -> None:
        if self.images is None or not self.images.stored:
            return
        sizes = dict(itertools.islice(self.images.stored.items(), _BATCH))
        erased = await rows.mark_stored(database, sizes)
        for result in sizes:
            del self.images.stored[result]
        await self.images.forget(erased)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
