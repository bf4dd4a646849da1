"""The parts of one process, from their start to their end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from viewfinder.access.asking import asks_for_key
from viewfinder.api.services import Services
from viewfinder.errors import RequestError, ServiceError
from viewfinder.settings import Settings
from viewfinder.telemetry.tracing import using

if TYPE_CHECKING:
    from viewfinder.access.access import Access

logger = logging.getLogger(__name__)


class Background(Protocol):
    """Something that goes on beside the requests."""

    def start(self) -> None:
        """Begin; called in the event loop, when everything else is there."""

    async def close(self) -> None:
        """End, within a few seconds; also where it has not begun."""


@asynccontextmanager
async def guarding(settings: Settings) -> AsyncIterator["Access | None"]:
    """Follow the keys, where they are asked for; elsewhere nothing of that is even imported.

    Raises:
        OperatorError: The database cannot be used and will not be by itself, or something is asked
            for that is not installed.
    """
    if not asks_for_key(settings):
        yield None
        return
    access: Access = import_module("viewfinder.access.access").open_access(settings)
    try:
        await access.start()
        yield access
    finally:
        await access.close()


@asynccontextmanager
async def running(services: Services, *, preload: bool = True) -> AsyncIterator[None]:
    """Start the threads and load the models that are wanted at once; undo both at the end.

    A model that cannot be used does not keep the others from answering: readiness and
    `GET /v1/models` say what is wrong.

    Args:
        services: The parts.
        preload: Whether any model is wanted at once.
    """
    services.devices.start()
    async with _letting_go(services):
        for name in {services.models.default, *services.settings.models} if preload else ():
            try:
                await services.models.get(name)
            except (RequestError, ServiceError) as error:
                logger.warning("the model %s is not ready: %s", name, error.detail)
        async with _watching(services), _going_on(services):
            yield


@asynccontextmanager
async def _letting_go(services: Services) -> AsyncIterator[None]:
    """Let go of everything at the end, one after the other, whatever fails of it."""
    ends = (
        partial(asyncio.to_thread, services.devices.close),
        services.classify.close,
        services.models.close,
        *((services.fetcher.close,) if services.fetcher is not None else ()),
        services.rate.close,
        services.idempotency.close,
        services.database.close,
        *((services.tracer.close,) if services.tracer is not None else ()),
    )
    async with AsyncExitStack() as stack:
        for end in reversed(ends):
            stack.push_async_callback(end)
        yield


@asynccontextmanager
async def _watching(services: Services) -> AsyncIterator[None]:
    """Follow the model store meanwhile."""
    watching = asyncio.create_task(services.models.watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


@asynccontextmanager
async def _going_on(services: Services) -> AsyncIterator[None]:
    """Have the parts go on beside the requests meanwhile."""
    parts, recorder = background_of(services), services.recorder
    try:
        with using(services.tracer):
            for part in parts:
                part.start()
        yield
    finally:
        await _end([part for part in parts if part is not recorder])
        # What jobs still answer is recorded: that ends last.
        await _end([part for part in parts if part is recorder])


async def _end(parts: Sequence[Background]) -> None:
    """End them side by side; what fails of it keeps nothing else from its end."""
    outcomes = await asyncio.gather(*(part.close() for part in parts), return_exceptions=True)
    for part, outcome in zip(parts, outcomes, strict=True):
        if outcome is not None:
            logger.error("%s did not end well", type(part).__name__, exc_info=outcome)


def background_of(services: Services) -> list[Background]:
    """What goes on beside the requests, in a server and in a worker alike."""
    parts = (
        services.heartbeat,
        services.recorder,
        services.retention,
        services.orphans,
        services.webhooks,
        services.jobs,
        services.sampler,
    )
    return [part for part in parts if part is not None]
