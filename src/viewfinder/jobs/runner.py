"""Looks for jobs in the background, in a server or in a worker.

This module costs nothing to import: SQLAlchemy comes with the first look at a database that is
there.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from viewfinder.blobs.store import Blobs
from viewfinder.errors import ViewfinderError
from viewfinder.jobs.counts import JobCounts
from viewfinder.net.fetch import Fetcher
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import Settings
from viewfinder.storage.link import DatabaseLink

if TYPE_CHECKING:
    from viewfinder.jobs.working import Working

logger = logging.getLogger(__name__)

# The first look, when the server has long been answering.
_FIRST_LOOK_S = 1.0
_LOOK_S, _SWEEP_S, _TROUBLE_S = 1.5, 5.0, 5.0
_CLOSING_S = 2.5


@dataclass(frozen=True, slots=True)
class Parts:
    """What the work on jobs needs of a process.

    Attributes:
        settings: How to work.
        models: Which there are.
        classify: Answers images.
        database: Where the jobs are.
        blobs: Where their images are.
        fetcher: Brings those that are somewhere else; None where that is switched off.
        counts: What is done.
    """

    settings: Settings
    models: ModelManager
    classify: ClassifyService
    database: DatabaseLink
    blobs: Blobs
    fetcher: Fetcher | None
    counts: JobCounts


class Runner:
    """Works on jobs for as long as the process lives.

    Args:
        parts: What that takes.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._new, self._over = asyncio.Event(), asyncio.Event()
        self._opening = asyncio.Lock()
        self._working: Working | None = None
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []
        self._troubled: set[asyncio.Event] = set()

    @property
    def counts(self) -> JobCounts:
        """What has been done."""
        return self._parts.counts

    @property
    def problem(self) -> str | None:
        """Why jobs do not get on; None where all is well."""
        return "waiting for the database or the blobs" if self._troubled else None

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._tasks = [
            asyncio.create_task(self._repeat(self._turn, self._new, _LOOK_S)),
            asyncio.create_task(self._repeat(self._sweep, self._over, _SWEEP_S)),
        ]

    def wake(self) -> None:
        """Look now: a job has been accepted, or cancelled."""
        self._new.set()
        self._over.set()

    async def close(self) -> None:
        """Let what is in work be done, record it, and give the job back: within a few seconds.

        What takes longer is given up: another takes it over once the lease has lapsed.
        """
        self._stopping = True
        if self._working is not None:
            self._working.stop()
        self.wake()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(
        self, action: Callable[[], Awaitable[bool]], wanted: asyncio.Event, pause_s: float
    ) -> None:
        await self._pause(wanted, _FIRST_LOOK_S)
        while not self._stopping:
            again, pause = False, pause_s
            try:
                again = self._parts.database.is_there and await action()
                self._troubled.discard(wanted)
            except (ViewfinderError, OSError) as error:
                if wanted not in self._troubled:
                    logger.warning("jobs have to wait: %s", error)
                self._troubled.add(wanted)
                pause = _TROUBLE_S
            except Exception:
                logger.exception("the work on jobs has failed; it goes on")
                pause = _TROUBLE_S
            if not again:
                await self._pause(wanted, pause)

    async def _turn(self) -> bool:
        working = await self._open()
        if self._stopping or not await working.turn():
            return False
        self._over.set()
        return True

    async def _sweep(self) -> bool:
        await (await self._open()).sweep()
        return False

    @staticmethod
    async def _pause(wanted: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await wanted.wait()
        wanted.clear()

    async def _open(self) -> "Working":
        """What works, with all that it needs; made with the first need."""
        async with self._opening:
            if self._working is None:
                module = await asyncio.to_thread(import_module, "viewfinder.jobs.working")
                self._working = module.open_working(self._parts)
            return self._working
