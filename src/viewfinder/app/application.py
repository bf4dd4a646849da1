"""The ASGI application: the routes, and the guards before them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from fastapi import FastAPI

from viewfinder import __version__
from viewfinder.access.asking import asks_for_key
from viewfinder.api import errors, health
from viewfinder.api import metrics as metrics_api
from viewfinder.api.endpoints import Endpoints
from viewfinder.api.guards.access import Authorise, Identify
from viewfinder.api.guards.admission import Admission
from viewfinder.api.guards.body import Bodies
from viewfinder.api.guards.client import ClientAddress
from viewfinder.api.guards.context import RequestContext
from viewfinder.api.guards.idempotency import Idempotency
from viewfinder.api.guards.observe import Observe, Observer
from viewfinder.api.guards.origin import LoopbackOnly, NoStrangers, NoUpgrade
from viewfinder.api.guards.rate import RateLimit
from viewfinder.api.guards.trace import Trace
from viewfinder.api.metrics import METRICS, CountRequests
from viewfinder.api.openapi import DocumentedAPI
from viewfinder.api.request_log import RequestLog
from viewfinder.api.sampling import Sampler
from viewfinder.api.v1 import (
    classify,
    documents,
    export,
    jobs,
    models,
    result_images,
    results,
    reviews,
    webhooks,
)
from viewfinder.app.running import guarding, running
from viewfinder.app.services import build_services
from viewfinder.net.addresses import is_loopback
from viewfinder.settings import Settings, load_settings
from viewfinder.telemetry.cells import Place
from viewfinder.telemetry.metrics import Metrics
from viewfinder.telemetry.tally import SharedTally
from viewfinder.web import routes as web


def create_app(settings: Settings | None = None, *, place: Place | None = None) -> FastAPI:
    """Build the ASGI application.

    Args:
        settings: The options; read from the environment and the TOML file if not given.
        place: Which of several workers it is for; None where there is one.
    """
    settings = settings or load_settings()
    observers: list[Observer] = [RequestLog()] if settings.log.requests else []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with guarding(settings) as access:
            metrics = Metrics(place) if settings.metrics.enabled else None
            tally = SharedTally(place) if settings.drift.enabled else None
            services = build_services(settings, lasting=True, metrics=metrics, tally=tally)
            services = replace(services, access=access)
            if metrics is not None:
                services = replace(services, sampler=Sampler(services, metrics))
                observers.append(CountRequests(metrics))
            app.state.services = services
            async with running(services):
                yield {METRICS: metrics}

    guarded = asks_for_key(settings)
    app = DocumentedAPI(
        guarded=guarded,
        title="Viewfinder",
        version=__version__,
        description="A photo in, a label out.",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    for router in (
        classify.router,
        jobs.router,
        export.router,  # before `results/{identifier}`, which would take it for one
        results.router,
        result_images.router,
        reviews.router,
        webhooks.router,
        models.router,
        documents.router,
        health.router,
        metrics_api.router,
    ):
        app.include_router(router)
    web.install(app)
    errors.install(app)
    # The last one added is the outermost.
    app.add_middleware(Idempotency)
    app.add_middleware(Bodies, limits=settings.limits, upload_bytes=settings.jobs.upload_bytes)
    app.add_middleware(Admission)
    if guarded:
        app.add_middleware(Authorise)
    if settings.rate_limit.enabled:
        app.add_middleware(RateLimit)
    if guarded:
        app.add_middleware(Identify)
    else:
        public = not is_loopback(settings.host) or bool(settings.trusted_proxies)
        app.add_middleware(NoStrangers, public=public)
        if is_loopback(settings.host):
            app.add_middleware(LoopbackOnly)
    app.add_middleware(NoUpgrade)
    if settings.trusted_proxies:
        app.add_middleware(ClientAddress, trusted=settings.trusted_proxies)
    app.add_middleware(RequestContext)
    endpoints = Endpoints.of_app(app)
    app.add_middleware(Observe, endpoints=endpoints, observers=observers)
    if settings.tracing.endpoint is not None:
        app.add_middleware(Trace, endpoints=endpoints)
    return app
