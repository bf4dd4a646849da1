"""The images of a new job, on their way to the blobs: few in memory at a time, all or none kept.

Import it only where a job comes: SQLAlchemy comes with it.
"""

import asyncio
import hashlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import BinaryIO, TypeVar

import uuid_utils

from viewfinder.blobs.store import Blobs
from viewfinder.errors import (
    DatabaseError,
    InvalidParameterError,
    JobNotFoundError,
    PayloadTooLargeError,
    RequestError,
)
from viewfinder.jobs.archive import Archive, Entry, open_archive
from viewfinder.jobs.order import Order
from viewfinder.jobs.spool import no_room
from viewfinder.settings import Settings
from viewfinder.storage.jobs.places import folder_of, input_key
from viewfinder.storage.jobs.rows import Job, JobItem
from viewfinder.storage.jobs.table import Jobs

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

IMAGES_HELD = 2
"""As much as so many of the longest images is under way to the blobs at a time."""

# S3 takes a while for each.
_AT_ONCE = 8
_LONGEST_NAME = 1000
# PostgreSQL keeps all characters but this one.
_NUL, _REPLACEMENT = "\0", "\ufffd"


@dataclass(slots=True)
class _Input:
    """One image, as far as it is known.

    Attributes:
        name: What the caller calls it.
        url: Where it is, if it was not sent.
        sha256: Of its bytes, if it is kept.
        error: Why it was not.
    """

    name: str
    url: str | None = None
    sha256: str | None = None
    error: RequestError | None = None

    def item(self, position: int) -> JobItem:
        """As the job keeps it."""
        error = None
        if self.error is not None:
            error = {"code": self.error.code, "detail": self.error.detail}
        name = self.name[:_LONGEST_NAME].replace(_NUL, _REPLACEMENT)
        return JobItem(position, name, self.url, error=error)

    def known_by(self) -> tuple[str, ...]:
        """By what the same image is known when it is sent again."""
        return self.name, self.url or self.sha256 or (self.error.code if self.error else "")


@asynccontextmanager
async def taking_in(blobs: Blobs, settings: Settings, *, hashed: bool) -> AsyncIterator["Intake"]:
    """Take in a job; what no job has come to need when the block ends is deleted.

    Args:
        blobs: Where the images go.
        settings: How many there may be, and how large.
        hashed: Whether the job has a request key.
    """
    intake = Intake(blobs, settings, hashed=hashed)
    try:
        yield intake
    finally:
        await intake.close()


class Intake:
    """Takes in the images of one job. Use `taking_in`."""

    def __init__(self, blobs: Blobs, settings: Settings, *, hashed: bool) -> None:
        self._job = str(uuid_utils.uuid7())
        self._blobs = blobs
        self._settings = settings.jobs
        self._longest = settings.limits.image_bytes
        self._hashed = hashed
        self._inputs: list[_Input] = []
        # Of its own: who waits for a thread elsewhere does not wait for S3.
        self._pool = ThreadPoolExecutor(_AT_ONCE, "intake")
        self._under_way: deque[tuple[asyncio.Future[None], int]] = deque()
        self._bytes = 0
        self._is_kept = False

    def add_url(self, url: str) -> None:
        """An image that is elsewhere.

        Raises:
            InvalidParameterError: There are too many.
        """
        self._add(_Input(url, url))

    async def add_image(self, name: str, data: bytes | None) -> None:
        """An image that was sent; returns when there is room for the next one.

        Args:
            name: What the caller calls it.
            data: Its bytes; None if there were more than an image may have.

        Raises:
            InvalidParameterError: There are too many.
            OverloadedError: There is no place where it could be kept.
        """
        given = _Input(name)
        position = self._add(given)
        if data is None:
            given.error = self._too_large()
        else:
            await self._send_off(len(data), partial(self._put, position, data))

    async def add_archive(self, file: BinaryIO) -> None:
        """The images of an archive; returns when all have been read.

        Raises:
            RequestError: Something is wrong with the archive as a whole.
            OverloadedError: There is no place where they could be kept.
        """
        opening = open_archive(
            file,
            most_images=self._settings.images,
            most_bytes=self._settings.upload_bytes,
            image_bytes=self._longest,
        )
        with ExitStack() as held:
            archive = await self._run(partial(held.enter_context, opening))
            try:
                for entry in archive.entries:
                    position = self._add(_Input(entry.name))
                    size = min(entry.bytes, self._longest)
                    await self._send_off(size, partial(self._unpack, position, archive, entry))
                await self._settle()
            finally:
                await self._end_threads()

    async def accept(self, jobs: Jobs, order: Order, now: datetime) -> tuple[Job, bool]:
        """Make the job of these images.

        Args:
            jobs: Where jobs are kept.
            order: What is asked for.
            now: The time.

        Returns:
            The job, and whether it is this one; not if the same request has made one before.

        Raises:
            InvalidParameterError: There are no images.
            IdempotencyKeyReusedError: The key belongs to another job.
            OverloadedError: An image could not be kept, or too many jobs wait.
            DatabaseError: The database cannot be used.
        """
        await self._settle()
        if not self._inputs:
            raise InvalidParameterError(
                "The job has no images: send them as `files`, as one zip `archive`, or as `urls`."
            )
        job = Job(
            id=self._job,
            created=now,
            model=order.model,
            version=order.version,
            top_k=order.top_k,
            min_confidence=order.min_confidence,
            total=len(self._inputs),
            owner=order.owner,
            request_key=order.request_key,
            request_digest=None if order.request_key is None else self._digest(order),
            callback_url=order.callback_url,
        )
        items = [given.item(position) for position, given in enumerate(self._inputs)]
        try:
            accepted = await jobs.add(job, items, most_waiting=self._settings.waiting)
        except asyncio.CancelledError:
            self._is_kept = True  # nobody knows: the server stops, and the job may be there
            raise
        except DatabaseError:
            if (found := await self._look_again(jobs)) is None:
                raise
            accepted = found
        self._is_kept = accepted.id == self._job
        return accepted, self._is_kept

    async def close(self) -> None:
        """Delete what no job has come to need."""
        await self._end_threads()
        try:
            if not self._is_kept and any(given.url is None for given in self._inputs):
                await self._run(partial(self._blobs.clear, folder_of(self._job)))
        except OSError as error:
            logger.warning("what is left of an upload could not be deleted: %s", error)
        finally:
            self._pool.shutdown(wait=False)

    def _add(self, given: _Input) -> int:
        if len(self._inputs) >= self._settings.images:
            raise InvalidParameterError(
                f"The job has more images than the {self._settings.images:,} that one may have."
            )
        self._inputs.append(given)
        return len(self._inputs) - 1

    def _unpack(self, position: int, archive: Archive, entry: Entry) -> None:
        """In a thread."""
        try:
            data = archive.read(entry)
            if len(data) > self._longest:
                raise self._too_large()
        except RequestError as error:
            self._inputs[position].error = error
        else:
            self._put(position, data)

    def _put(self, position: int, data: bytes) -> None:
        """In a thread."""
        self._blobs.put(input_key(self._job, position), data)
        if self._hashed:
            self._inputs[position].sha256 = hashlib.sha256(data).hexdigest()

    async def _send_off(self, size: int, work: Callable[[], None]) -> None:
        while self._under_way and (
            len(self._under_way) >= _AT_ONCE or self._bytes + size > IMAGES_HELD * self._longest
        ):
            await self._collect()
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        self._under_way.append((future, size))
        self._bytes += size

    async def _collect(self) -> None:
        """Wait for the image that has been longest under way."""
        future, size = self._under_way[0]
        await asyncio.wait([future])
        self._under_way.popleft()
        self._bytes -= size
        try:
            future.result()
        except OSError as error:
            raise no_room(error) from error

    async def _settle(self) -> None:
        while self._under_way:
            await self._collect()

    async def _end_threads(self) -> None:
        """Wait until nothing is written any more, whatever becomes of it."""
        futures = [future for future, _ in self._under_way]
        await asyncio.gather(*futures, return_exceptions=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def _look_again(self, jobs: Jobs) -> Job | None:
        """The job, if the database took it and could not say so; None if it did not."""
        try:
            return await jobs.get(self._job)
        except JobNotFoundError:
            return None
        except DatabaseError:
            self._is_kept = True  # nobody knows; what turns out to be nobody's is swept away
            return None

    def _too_large(self) -> PayloadTooLargeError:
        return PayloadTooLargeError(f"The image is over the limit of {self._longest:,} bytes.")

    def _digest(self, order: Order) -> str:
        asked = [order.asked, order.top_k, order.min_confidence, order.callback_url]
        inputs = [given.known_by() for given in self._inputs]
        return hashlib.sha256(json.dumps([asked, inputs]).encode()).hexdigest()
