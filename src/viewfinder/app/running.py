"""The parts of one process, from their start to their end."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from viewfinder.api.asking import asks_for_key
from viewfinder.api.dependencies import Services
from viewfinder.errors import RequestError, ServiceError
from viewfinder.settings import Settings
from viewfinder.telemetry.tracing import using

if TYPE_CHECKING:
    from viewfinder.access.access import Access

# The name under which the log has known it from the first.
logger = logging.getLogger("viewfinder.app")


class Background(Protocol):
    """Something that goes on beside the requests."""

    def start(self) -> None:
        """Begin; called in the event loop, when everything else is there."""

    async def close(self) -> None:
        """End, within a few seconds."""


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
    try:
        for name in {services.models.default, *services.settings.models} if preload else ():
            try:
                await services.models.get(name)
            except (RequestError, ServiceError) as error:
                logger.warning("the model %s is not ready: %s", name, error.detail)
        watching = asyncio.create_task(services.models.watch())
        background = background_of(services)
        with using(services.tracer):
            for part in background:
                part.start()
        try:
            yield
        finally:
            # What jobs still answer is recorded: that ends last.
            recorder = services.recorder
            await asyncio.gather(*(part.close() for part in background if part is not recorder))
            if recorder is not None:
                await recorder.close()
            watching.cancel()
    finally:
        await asyncio.to_thread(services.devices.close)
        await services.classify.close()
        await services.models.close()
        if services.fetcher is not None:
            await services.fetcher.close()
        await services.rate.close()
        await services.answers.close()
        await services.database.close()
        if services.tracer is not None:
            await services.tracer.close()


def background_of(services: Services) -> list[Background]:
    """What goes on beside the requests, in a server and in a worker alike."""
    parts = (
        services.heartbeat,
        services.recorder,
        services.retention,
        services.orphans,
        services.callbacks,
        services.jobs,
        services.sampler,
    )
    return [part for part in parts if part is not None]
