"""The parts of the running process, as routes and guards reach them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request
from starlette.types import Scope

from viewfinder.blobs.store import Blobs
from viewfinder.idempotency.store import AnswerStore
from viewfinder.jobs.callbacks.delivering import Delivering
from viewfinder.jobs.orphans import OrphanSweeper
from viewfinder.jobs.runner import Runner
from viewfinder.net.fetch import Fetcher
from viewfinder.quota.counter import Counter
from viewfinder.results.recorder import ResultRecorder
from viewfinder.results.retention import Retention
from viewfinder.serving.drift.monitor import DriftMonitor
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.queue.devices import Devices
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import Settings
from viewfinder.shared.heartbeat import Heartbeat
from viewfinder.storage.link import DatabaseLink
from viewfinder.telemetry.tracing import Tracer
from viewfinder.types import Principal

if TYPE_CHECKING:
    from viewfinder.access.access import Access
    from viewfinder.api.sampling import Sampler


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one running process.

    Attributes:
        settings: The options.
        models: Which there are, and which answer.
        devices: The queues of work.
        classify: Answers for photos.
        rate: Counts what each caller asks.
        idempotency: What was answered to requests with an idempotency key.
        database: Where results and jobs are; opened when it is first needed.
        blobs: Where stored images, and those of jobs, are.
        fetcher: Brings images by URL; None where they are switched off.
        heartbeat: Knows which Redis is away; None where nothing lasts.
        access: Knows the keys; None where none is asked for.
        drift: Compares photos with those of before; None where nothing is compared.
        recorder: Keeps the answers; None where they are not kept.
        retention: Lets go of what is recorded in time; None where nothing lasts.
        orphans: Deletes images of jobs that never came to be; None where nothing lasts.
        jobs: Works on jobs; None where others do.
        webhooks: Tells those who wait for jobs; None where others do.
        sampler: Reads all these into metrics; None where nobody looks at them.
        tracer: Traces requests, and work in the background; None where that is off.
        answering: Whether the process answers requests for photos; a worker on jobs does not.
    """

    settings: Settings
    models: ModelManager
    devices: Devices
    classify: ClassifyService
    rate: Counter
    idempotency: AnswerStore
    database: DatabaseLink
    blobs: Blobs
    fetcher: Fetcher | None = None
    heartbeat: Heartbeat | None = None
    access: "Access | None" = None
    drift: DriftMonitor | None = None
    recorder: ResultRecorder | None = None
    retention: Retention | None = None
    orphans: OrphanSweeper | None = None
    jobs: Runner | None = None
    webhooks: Delivering | None = None
    sampler: "Sampler | None" = None
    tracer: Tracer | None = None
    answering: bool = True


def services_of(scope: Scope) -> Services:
    """The parts of the process that a request came to."""
    services: Services = scope["app"].state.services
    return services


def principal_of(scope: Scope) -> Principal | None:
    """Who asks; None as long as nobody has shown a key that counts."""
    principal: Principal | None = scope["state"].get("principal")
    return principal


def owner_of(scope: Scope) -> str | None:
    """The id of the key that asks, for records; None where none is asked for."""
    principal = principal_of(scope)
    return None if principal is None else principal.id


async def _services(request: Request) -> Services:
    return services_of(request.scope)


ServicesDep = Annotated[Services, Depends(_services)]


async def _manager(services: ServicesDep) -> ModelManager:
    return services.models


ManagerDep = Annotated[ModelManager, Depends(_manager)]
