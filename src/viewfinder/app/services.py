"""The parts of one process, built and joined."""

from dataclasses import replace

from viewfinder.api.services import Services
from viewfinder.blobs.store import open_blobs
from viewfinder.blobs.traced import TracedBlobs
from viewfinder.idempotency.opening import open_answers
from viewfinder.imaging.decode import recognise
from viewfinder.jobs.callbacks.delivering import Delivering
from viewfinder.jobs.counts import JobCounts
from viewfinder.jobs.orphans import OrphanSweeper
from viewfinder.jobs.runner import Parts, Runner
from viewfinder.net.fetch import Fetcher
from viewfinder.quota.opening import open_counter
from viewfinder.registry.store import default_model, open_store
from viewfinder.results.opening import open_recorder
from viewfinder.results.retention import Retention
from viewfinder.serving.callbacks import Callbacks, find_callbacks
from viewfinder.serving.drift.monitor import DriftMonitor
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.queue.devices import Devices
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import Settings
from viewfinder.shared.heartbeat import Heartbeat
from viewfinder.storage.link import DatabaseLink
from viewfinder.telemetry.metrics import Metrics
from viewfinder.telemetry.tally import SharedTally
from viewfinder.telemetry.tracing import open_tracer


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
    return replace(services, jobs=_runner(services), webhooks=Delivering(settings, link))


def _heartbeat(services: Services) -> Heartbeat:
    links = {
        "cache": services.classify.cache_link,
        "limits": services.rate.link if services.settings.rate_limit.enabled else None,
        "idempotency": services.idempotency.link,
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


def _fetcher(settings: Settings) -> Fetcher | None:
    if not settings.fetch.enabled:
        return None
    return Fetcher(settings.fetch, settings.limits, recognise)
