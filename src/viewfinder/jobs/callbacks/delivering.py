"""Callbacks of a running process, from when it has a database on."""

import asyncio
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING

from viewfinder.settings import Settings
from viewfinder.storage.link import DatabaseLink

if TYPE_CHECKING:
    from viewfinder.jobs.callbacks.deliverer import Deliverer


class Delivering:
    """Sends what is due, for as long as the process lives.

    Args:
        settings: The options.
        link: Where callbacks are kept; still open when this is closed.

    Attributes:
        attempts: Calls, by what the callback was afterwards.
    """

    def __init__(self, settings: Settings, link: DatabaseLink) -> None:
        self._settings = settings
        self._link = link
        self.attempts: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; to be called in the event loop."""
        self._task = asyncio.create_task(self._deliver())

    async def close(self) -> None:
        """End; a call that is under way is sent again by whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _deliver(self) -> None:
        await self._link.wanted()
        # Not before: it brings SQLAlchemy along.
        module = await asyncio.to_thread(import_module, "viewfinder.jobs.callbacks.deliverer")
        deliverer: Deliverer = module.Deliverer(self._link, self._settings, attempts=self.attempts)
        deliverer.start()
        try:
            await asyncio.Event().wait()
        finally:
            await deliverer.close()
