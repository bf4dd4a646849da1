"""Takes away what is left of jobs that are over: their images at once, the rest in due time."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from viewfinder.blobs.store import Blobs
from viewfinder.blobs.threads import in_thread
from viewfinder.settings import JobSettings
from viewfinder.storage.jobs.finished import FinishedJobs
from viewfinder.storage.link import DatabaseLink

_OLD_S = 600.0
_JOBS, _KEYS = 20, 1000


class Sweeper:
    """Deletes what nobody needs any more.

    Args:
        database: Where the jobs are.
        blobs: Where their images are.
        settings: How long a job is kept.
        now: The time, in UTC.
    """

    def __init__(
        self,
        database: DatabaseLink,
        blobs: Blobs,
        settings: JobSettings,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._keep = timedelta(days=settings.keep_days)
        self._now = now
        self._old_at = 0.0

    async def sweep(self) -> None:
        """Delete the images of jobs that are over, and now and then the jobs kept long enough.

        Raises:
            DatabaseError: The database cannot be used.
            OSError: The blobs cannot be.
        """
        finished = FinishedJobs(await self._database.open())
        try:
            await self._delete_images(finished)
        finally:  # one image that cannot be deleted holds up none of the jobs without any
            await self._delete_old(finished)

    async def _delete_images(self, finished: FinishedJobs) -> None:
        while found := await finished.leftovers(limit=_JOBS):
            for job in found:
                keys = await finished.inputs(job)
                for first in range(0, len(keys), _KEYS):
                    await in_thread(self._blobs.delete, keys[first : first + _KEYS])
                await finished.forget_inputs(job)

    async def _delete_old(self, finished: FinishedJobs) -> None:
        if time.monotonic() < self._old_at:
            return
        before, more = self._now() - self._keep, 1
        while more:  # one by one: the images of a large job are many rows, and others write too
            more = await finished.delete_older(before, limit=1)
        self._old_at = time.monotonic() + _OLD_S
