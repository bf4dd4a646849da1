"""What a worker shows of itself over HTTP: health and metrics, as a server does, and no more."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI

from viewfinder import __version__
from viewfinder.access.asking import asks_for_key
from viewfinder.api import errors, health
from viewfinder.api import metrics as metrics_api
from viewfinder.api.endpoints import Endpoints
from viewfinder.api.guards.access import Authorise, Identify
from viewfinder.api.guards.context import RequestContext
from viewfinder.api.guards.observe import Observe, Observer
from viewfinder.api.guards.origin import LoopbackOnly, NoUpgrade
from viewfinder.api.guards.trace import NOT_OF_FASTAPI
from viewfinder.api.metrics import METRICS, CountRequests
from viewfinder.api.request_log import RequestLog
from viewfinder.api.services import Services
from viewfinder.net.addresses import is_loopback


def create_status_app(services: Services) -> FastAPI:
    """Build the ASGI application of a worker.

    Nothing in it takes a body, and who may ask is as at a server: at a loopback address who is on
    this machine, elsewhere everybody for health and a key of the scope `read` for metrics.

    Args:
        services: The parts that it tells of. They run already, and go on when it has ended.
    """
    settings = services.settings
    metrics = None if services.sampler is None else services.sampler.metrics

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        app.state.services = services
        yield {METRICS: metrics}

    app = FastAPI(
        title="Viewfinder worker",
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        openapi_url=None,
        telemetry=NOT_OF_FASTAPI,
    )
    app.include_router(health.router)
    app.include_router(metrics_api.router)
    errors.install(app)
    # The last one added is the outermost.
    if asks_for_key(settings):
        app.add_middleware(Authorise)
        app.add_middleware(Identify)
    elif is_loopback(settings.host):
        app.add_middleware(LoopbackOnly)
    app.add_middleware(NoUpgrade)
    app.add_middleware(RequestContext)
    observers: Sequence[Observer] = [
        *([RequestLog()] if settings.log.requests else []),
        *([CountRequests(metrics)] if metrics is not None else []),
    ]
    app.add_middleware(Observe, endpoints=Endpoints.of_app(app), observers=observers)
    return app
