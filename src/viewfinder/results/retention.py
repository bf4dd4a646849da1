"""Letting go: results that are too old or too many, images that take too much room.

The images of a batch are deleted before its rows. A crash between the two leaves rows that promise
an image for some minutes more, and the next pass takes them away; the other way round it would
leave images that nobody knows of, for good. The image of every row is deleted, not only where the
row says that there is one: a crash may have come between the writing of an image and the row's
word. Where images cannot be deleted, their rows stay until they can.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from viewfinder.blobs.store import Blobs
from viewfinder.blobs.threads import in_thread
from viewfinder.errors import OperatorError
from viewfinder.results.images import image_key
from viewfinder.settings import ResultSettings
from viewfinder.shared.ids import first_id
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.opening import open_old_results

logger = logging.getLogger(__name__)

_FIRST_S, _EVERY_S = 30.0, 300.0
_BATCH = 1000
_MB = 1_000_000


@dataclass(slots=True)
class Swept:
    """What a pass took away.

    Attributes:
        results: Rows.
        images: Stored images whose rows stay.
    """

    results: int = 0
    images: int = 0


class Retention:
    """Keeps results within their limits. Every process may run it; they do not disturb each other.

    Args:
        link: Opens the database.
        blobs: Where the stored images are.
        limits: How much is kept.
        clock: Seconds since 1970.

    Attributes:
        failing: Whether the last pass did not come to its end.
    """

    def __init__(
        self,
        link: DatabaseLink,
        blobs: Blobs,
        limits: ResultSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.failing = False
        self._link = link
        self._blobs = blobs
        self._limits = limits
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to make a pass now and then."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End; a pass that is under way is broken off."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        pause = _FIRST_S
        while True:
            await asyncio.sleep(pause)
            await self._link.wanted()
            pause = _EVERY_S
            try:
                swept = await self.sweep()
            except (OperatorError, OSError) as error:
                self.failing = True
                logger.warning("old results stay for now: %s", error)
            except Exception:
                self.failing = True
                logger.exception("old results stay for now")
            else:
                self.failing = False
                if swept != Swept():
                    logger.info(
                        "let go of %d results, and of %d images of others",
                        swept.results,
                        swept.images,
                    )

    async def sweep(self) -> Swept:
        """One pass.

        Raises:
            OperatorError: The database cannot be used.
            OSError: Images cannot be deleted.
        """
        old = await open_old_results(self._link)
        swept = Swept()
        oldest = datetime.fromtimestamp(self._clock(), UTC) - timedelta(days=self._limits.keep_days)
        for bound in (first_id(oldest), await old.beyond(self._limits.keep_rows)):
            while bound and (ids := await old.under(bound, _BATCH)):
                await self._let_go(ids, old.erase)
                swept.results += len(ids)
        last = await old.images_beyond(self._limits.keep_mb * _MB)
        while last and (ids := await old.with_images(last, _BATCH)):
            await self._let_go(ids, old.forget_images)
            swept.images += len(ids)
        return swept

    async def _let_go(
        self, ids: Sequence[str], note: Callable[[Sequence[str]], Awaitable[None]]
    ) -> None:
        await in_thread(self._blobs.delete, [image_key(result) for result in ids])
        await note(ids)
