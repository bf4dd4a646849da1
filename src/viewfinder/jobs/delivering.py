"""Callbacks of a running process, from when it has a database on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING

from viewfinder.settings import Settings
from viewfinder.storage.link import DatabaseLink

if TYPE_CHECKING:
    from viewfinder.jobs.webhooks import Deliverer


@asynccontextmanager
async def delivering(settings: Settings, link: DatabaseLink) -> AsyncIterator[None]:
    """Send what is due, for as long as the block lasts.

    Args:
        settings: The options.
        link: Where callbacks are kept; still open when the block ends.
    """
    task = asyncio.create_task(_deliver(settings, link))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _deliver(settings: Settings, link: DatabaseLink) -> None:
    await link.wanted()
    # Not before: it brings SQLAlchemy along.
    webhooks = await asyncio.to_thread(import_module, "viewfinder.jobs.webhooks")
    deliverer: Deliverer = webhooks.Deliverer(link, settings)
    deliverer.start()
    try:
        await asyncio.Event().wait()
    finally:
        await deliverer.close()
