"""The application: every part is put together here, and nowhere else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import FastAPI

from viewfinder import __version__
from viewfinder.api import errors, health
from viewfinder.api import metrics as metrics_api
from viewfinder.api.asking import asks_for_key
from viewfinder.api.dependencies import Services
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
from viewfinder.blobs.store import open_blobs
from viewfinder.blobs.traced import TracedBlobs
from viewfinder.errors import RequestError, ServiceError
from viewfinder.idempotency.opening import open_answers
from viewfinder.imaging.decode import recognise
from viewfinder.jobs.counts import JobCounts
from viewfinder.jobs.delivering import Delivering
from viewfinder.jobs.orphans import OrphanSweeper
from viewfinder.jobs.runner import Parts, Runner
from viewfinder.net.addresses import is_loopback
from viewfinder.net.fetch import Fetcher
from viewfinder.quota.rate import open_counter
from viewfinder.registry.store import default_model, open_store
from viewfinder.results.opening import open_recorder
from viewfinder.results.retention import Retention
from viewfinder.serving.callbacks import Callbacks, find_callbacks
from viewfinder.serving.drift import DriftMonitor
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.scheduler import Devices
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import Settings, load_settings
from viewfinder.shared.heartbeat import Heartbeat
from viewfinder.storage.link import DatabaseLink
from viewfinder.telemetry.cells import Place
from viewfinder.telemetry.metrics import Metrics
from viewfinder.telemetry.tally import SharedTally
from viewfinder.telemetry.tracing import open_tracer, using
from viewfinder.web import routes as web

if TYPE_CHECKING:
    from viewfinder.access.access import Access

logger = logging.getLogger(__name__)


class Background(Protocol):
    """Something that goes on beside the requests."""

    def start(self) -> None:
        """Begin; called in the event loop, when everything else is there."""

    async def close(self) -> None:
        """End, within a few seconds."""


def build_services(
    settings: Settings,
    *,
    lasting: bool = False,
    metrics: Metrics | None = None,
    tally: SharedTally | None = None,
) -> Services:
    """Build the parts of one process; nothing is loaded and no compute thread runs yet.

    Args:
        settings: The options.
        lasting: Whether the process records what it answers and works on jobs, as far as the
            settings say so: a server and a worker do, a single command does not.
        metrics: Where it counts and times what it does; None where nobody looks at that.
        tally: Where it counts what images look like; None where nobody compares them.

    Raises:
        OperatorError: Something is asked for in a way that makes no sense, or that is not
            installed; or, of what does not last, the model store cannot be read.
    """
    store = open_store(settings.store, settings.home)
    models = ModelManager(store, settings, default=default_model(settings), patient=lasting)
    devices = Devices(
        threads=settings.compute_threads,
        capacity=settings.queue_size,
        worked=None if metrics is None else metrics.worked,
    )
    callbacks = Callbacks(find_callbacks())
    link, blobs = DatabaseLink(settings), open_blobs(settings)
    tracer = open_tracer(settings.tracing) if lasting else None
    if tracer is not None:
        blobs = TracedBlobs(blobs)
    recorder = open_recorder(settings, devices, link, blobs) if lasting else None
    drift = None if tally is None else DriftMonitor(settings.drift, tally, models)
    services = Services(
        settings,
        models,
        devices,
        ClassifyService(
            models, devices, settings, callbacks, recorder=recorder, metrics=metrics, drift=drift
        ),
        open_counter(settings),
        open_answers(settings),
        link,
        blobs,
        _fetcher(settings),
        drift=drift,
        recorder=recorder,
        # Also where nothing is recorded any more: what was before is kept no longer for that.
        retention=Retention(link, blobs, settings.results) if lasting else None,
        tracer=tracer,
    )
    if not lasting:
        return services
    services = replace(
        services, orphans=OrphanSweeper(settings, blobs, link), heartbeat=_heartbeat(services)
    )
    if not settings.jobs.run:
        return services
    return replace(services, jobs=_runner(services), callbacks=Delivering(settings, link))


def _heartbeat(services: Services) -> Heartbeat:
    links = {
        "cache": services.classify.cache_link,
        "limits": services.rate.link if services.settings.rate_limit.enabled else None,
        "idempotency": services.answers.link,
    }
    return Heartbeat({what: link for what, link in links.items() if link is not None})


def _runner(services: Services) -> Runner:
    return Runner(
        Parts(
            services.settings,
            services.models,
            services.classify,
            services.database,
            services.blobs,
            services.fetcher,
            JobCounts(),
        )
    )


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


def _fetcher(settings: Settings) -> Fetcher | None:
    if not settings.fetch.enabled:
        return None
    return Fetcher(settings.fetch, settings.limits, recognise)


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
