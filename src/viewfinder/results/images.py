"""Stored images: what they look like, where each lies, and how they get there."""

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

from viewfinder.blobs.store import Blobs
from viewfinder.blobs.threads import THREADS, in_thread
from viewfinder.errors import ViewfinderError
from viewfinder.imaging.decode import decode
from viewfinder.imaging.thumbnail import small_jpeg
from viewfinder.results.losses import Losses
from viewfinder.serving.queue.scheduler import Scheduler
from viewfinder.settings import Limits
from viewfinder.shared.seldom import Seldom

logger = logging.getLogger(__name__)

BUFFER_BYTES = 64 * 1024 * 1024
"""Bytes of photos that may wait to be stored."""

_FOLDER_DIGITS = 6  # a UUIDv7's first 24 bits: one folder for each four and a half hours
_QUALITY = 90
# What waits with a photo (its task, its record): many tiny ones take room too.
_BESIDE_BYTES = 4096
# As long as an image may wait for idle capacity.
_PATIENCE_S = 60.0
# At most half of the threads that there are for blobs: others wait for one, too.
_WRITING = THREADS // 2


def image_key(result: str) -> str:
    """The key of a result's image among the blobs.

    Args:
        result: Its id.
    """
    return f"results/{result[:_FOLDER_DIGITS]}/{result}.jpg"


def stored_form(data: bytes, *, side: int, limits: Limits) -> bytes:
    """What is kept of a photo: its pixels, upright, RGB, as a JPEG without any metadata.

    Args:
        data: The bytes of an image file.
        side: The longer side that it has at most, in pixels; a smaller one stays as it is.
        limits: What will be decoded.

    Raises:
        RequestError: It cannot be decoded.
    """
    image = decode(data, limits=limits, enough=(side, side))
    return small_jpeg(image, side, quality=_QUALITY)[0]


def _room_of(data: bytes) -> int:
    return len(data) + _BESIDE_BYTES


class ImageKeeper:
    """Stores photos in what the processor has to spare; what there is no room for is counted.

    A photo is in memory from `reserve` to the end of `store`.

    Args:
        cpu: Whose batch lane the photos are worked on.
        blobs: Where they go.
        side: The longer side that a stored image has at most, in pixels.
        limits: What will be decoded.
        encoding: How many may wait for the processor at once.
        room: Bytes of photos that may be in memory, each counted with 4 KiB of what goes with it.
        clock: Seconds, from any moment on.

    Attributes:
        losses: Photos that were not stored, for whatever reason.
        stored: Bytes of each new image, by the id of its result; who has noted that takes it out.
        news: Set when there is something new in `stored`.
        failing: Whether the last attempt to write one has failed.
    """

    def __init__(
        self,
        cpu: Scheduler,
        blobs: Blobs,
        *,
        side: int,
        limits: Limits,
        encoding: int,
        room: int = BUFFER_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.losses = Losses(clock)
        self.stored: dict[str, int] = {}
        self.news = asyncio.Event()
        self.failing = False
        self._cpu = cpu
        self._blobs = blobs
        self._form = partial(stored_form, side=side, limits=limits)
        self._room = room
        self._tasks: set[asyncio.Task[None]] = set()
        self._encoding = asyncio.Semaphore(encoding)
        self._writing = asyncio.Semaphore(_WRITING)
        self._log = Seldom()

    def reserve(self, data: bytes) -> bool:
        """Make room for a photo, if there is any; counted as lost if not."""
        if _room_of(data) > self._room:
            self.losses.add()
            return False
        self._room -= _room_of(data)
        return True

    def release(self, data: bytes) -> None:
        """Give the room of a photo back that is not going to be stored; counted as lost."""
        self.losses.add()
        self._room += _room_of(data)

    def store(self, result: str, data: bytes) -> None:
        """Store a photo that there is room for, as soon as there is capacity. Returns at once.

        Args:
            result: The id of its result, which is in the database.
            data: The bytes of the image file.
        """
        task = asyncio.create_task(self._store(result, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until all photos are stored or lost."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def forget(self, results: frozenset[str]) -> None:
        """Delete images whose results were erased meanwhile."""
        if not results:
            return
        try:
            await in_thread(self._blobs.delete, [image_key(result) for result in results])
        except OSError:
            logger.warning("%d images of erased results could not be deleted", len(results))

    async def close(self) -> None:
        """Store no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _store(self, result: str, data: bytes) -> None:
        size = 0
        try:
            size = await self._write(result, data)
        except ViewfinderError as error:  # no time for it, or it decodes only in part
            self._say(error.detail)
        except Exception:
            if self._log.may_speak():
                logger.exception("an image is not stored")
        finally:
            self._room += _room_of(data)
            if size:
                self.stored[result] = size
                self.news.set()
            else:
                self.losses.add()

    async def _write(self, result: str, data: bytes) -> int:
        async with self._encoding:
            small = await self._cpu.run(
                partial(self._form, data), deadline=time.monotonic() + _PATIENCE_S, lane="batch"
            )
        async with self._writing:
            try:
                await in_thread(self._blobs.put, image_key(result), small)
            except OSError as error:
                self.failing = True
                self._say(error.strerror or error)
                return 0
        self.failing = False
        return len(small)

    def _say(self, reason: object) -> None:
        if self._log.may_speak():
            logger.warning(
                "an image cannot be stored: %s; %d were lost before", reason, self.losses.count
            )
