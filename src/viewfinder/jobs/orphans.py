"""Images that were sent for a job that never came to be: their process was killed meanwhile."""

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import uuid_utils

from viewfinder.blobs.store import Blobs
from viewfinder.blobs.threads import in_thread
from viewfinder.errors import JobNotFoundError, ViewfinderError
from viewfinder.jobs.pace import longest_s
from viewfinder.settings import Settings
from viewfinder.storage.jobs.places import FOLDER, folder_of
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.opening import open_jobs

logger = logging.getLogger(__name__)

_LEAST_AGE = timedelta(days=1)
_PAUSE_S = 3600


class OrphanSweeper:
    """Looks for such images every hour, for as long as the process lives.

    Args:
        settings: How large an upload may be.
        blobs: Where the images of jobs are.
        database: Where the jobs are.
    """

    def __init__(self, settings: Settings, blobs: Blobs, database: DatabaseLink) -> None:
        self._settings = settings
        self._blobs = blobs
        self._database = database
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._task = asyncio.create_task(self._repeat())

    async def close(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _repeat(self) -> None:
        while True:
            now = datetime.now(UTC)
            try:
                if swept := await sweep(self._settings, self._blobs, self._database, now):
                    logger.info("deleted the images of %d uploads that were cut off", swept)
            except (ViewfinderError, OSError) as error:
                logger.warning("nobody looks for images of uploads that were cut off: %s", error)
            except Exception:
                logger.exception("nobody looks for images of uploads that were cut off")
            await asyncio.sleep(_PAUSE_S)


async def sweep(settings: Settings, blobs: Blobs, database: DatabaseLink, now: datetime) -> int:
    """Delete the images of jobs that the database does not know, once no upload can take as long.

    When an upload began is in the id of its job, a UUIDv7. Where there is none that is old, nobody
    is asked for more than one listing.

    Args:
        settings: How large an upload may be.
        blobs: Where the images of jobs are.
        database: Where the jobs are.
        now: The time.

    Returns:
        Of how many jobs they were.

    Raises:
        DatabaseError: The database cannot be used.
        OSError: The blobs cannot be used.
    """
    seconds = 2 * longest_s(settings.jobs.upload_bytes)
    last = now - max(_LEAST_AGE, timedelta(seconds=seconds))
    names = await in_thread(blobs.folders, FOLDER)
    old = [name for name in names if (began := _began(name)) is not None and began < last]
    if not old:
        return 0
    jobs, swept = await open_jobs(database), 0
    for name in old:
        try:
            await jobs.get(name)
        except JobNotFoundError:
            await in_thread(blobs.clear, folder_of(name))
            swept += 1
    return swept


def _began(job: str) -> datetime | None:
    """When a job's id was made; None for what is none."""
    try:
        identifier = uuid_utils.UUID(job)
        return datetime.fromtimestamp(identifier.timestamp / 1000, UTC)
    except ValueError:
        return None
