"""What a route needs from the running application."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from pydantic import Field, TypeAdapter, ValidationError
from starlette.types import Scope

from viewfinder.api.schemas.classify import ClassifyOptions
from viewfinder.blobs.store import Blobs
from viewfinder.idempotency.store import AnswerStore
from viewfinder.jobs.callbacks.delivering import Delivering
from viewfinder.jobs.orphans import OrphanSweeper
from viewfinder.jobs.runner import Runner
from viewfinder.net.fetch import Fetcher
from viewfinder.quota.rate import Counter
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
from viewfinder.types import Prediction, Principal

if TYPE_CHECKING:
    from viewfinder.access.access import Access
    from viewfinder.api.sampling import Sampler

Options = TypeVar("Options", bound=ClassifyOptions)

TIMEOUT_HEADER = "X-Request-Timeout-Ms"
_LONGEST_MS = 24 * 3600 * 1000
MILLISECONDS: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=1, le=_LONGEST_MS)])


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one running process.

    Attributes:
        settings: The options.
        models: Which there are, and which answer.
        devices: The queues of work.
        classify: Answers for photos.
        rate: Counts what each caller asks.
        answers: What was answered to requests with an idempotency key.
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
        callbacks: Tells those who wait for jobs; None where others do.
        sampler: Reads all these into metrics; None where nobody looks at them.
        tracer: Traces requests, and work in the background; None where that is off.
        answering: Whether the process answers requests for photos; a worker on jobs does not.
    """

    settings: Settings
    models: ModelManager
    devices: Devices
    classify: ClassifyService
    rate: Counter
    answers: AnswerStore
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
    callbacks: Delivering | None = None
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


async def _services(request: Request) -> Services:
    return services_of(request.scope)


ServicesDep = Annotated[Services, Depends(_services)]


@dataclass(frozen=True, slots=True)
class Call:
    """One request for answers.

    Attributes:
        services: Who can give them.
        options: How, as far as the query says it.
        deadline: On the clock of `time.monotonic`.
        caller: Who asks, as far as that is known; no secret.
        owner: The id of the key that asks; None where none is asked for.
        predictions: The answers so far, for those who log and trace.
    """

    services: Services
    options: ClassifyOptions
    deadline: float
    caller: str | None
    owner: str | None
    predictions: list[Prediction]


def read_call(request: Request) -> Call:
    """Read the head of a request for answers.

    By hand, and described by hand in `api/openapi.py`: FastAPI takes a fifth of a millisecond for
    it, and the event loop has one for everything.

    Raises:
        RequestValidationError: An option, or the header of the deadline, is out of its range.
    """
    services = services_of(request.scope)
    return Call(
        services,
        read_options(request, ClassifyOptions),
        deadline_of(request),
        caller_of(request),
        owner_of(request.scope),
        request.scope["state"].setdefault("predictions", []),
    )


def deadline_of(request: Request) -> float:
    """Until when a client, and the server, will wait, on the clock of `time.monotonic`.

    Raises:
        RequestValidationError: The header of the deadline is not a whole number in its range.
    """
    limit = services_of(request.scope).settings.request_timeout_s
    began: float = request.scope["state"]["began"]
    return began + patience(request.headers.get(TIMEOUT_HEADER), limit)


def read_options(request: Request, kind: type[Options]) -> Options:
    """The options that the query says.

    Raises:
        RequestValidationError: One is out of its range.
    """
    if not request.scope["query_string"]:
        return kind()
    try:
        return kind.model_validate(dict(request.query_params))
    except ValidationError as error:
        raise _invalid("query", error=error) from error


def owner_of(scope: Scope) -> str | None:
    """The id of the key that asks, for records; None where none is asked for."""
    principal = principal_of(scope)
    return None if principal is None else principal.id


def caller_of(request: Request) -> str | None:
    """The principal; on a server that asks for no key, a digest of the one that is shown anyway."""
    principal = principal_of(request.scope)
    if principal is not None:
        return principal.id
    shown = request.headers.get("x-api-key") or request.headers.get("authorization")
    return hashlib.sha256(shown.encode()).hexdigest()[:32] if shown else None


def patience(header: str | None, limit: float) -> float:
    """Seconds that a client, and the server, will wait.

    Args:
        header: What the client says, in milliseconds.
        limit: The server's own, in seconds.

    Raises:
        RequestValidationError: The header is not a whole number in its range.
    """
    if header is None:
        return limit
    try:
        return min(limit, MILLISECONDS.validate_python(header) / 1000)
    except ValidationError as error:
        raise _invalid("header", TIMEOUT_HEADER, error=error) from error


def _invalid(*where: str, error: ValidationError) -> RequestValidationError:
    return RequestValidationError([{**e, "loc": (*where, *e["loc"])} for e in error.errors()])


async def _manager(services: ServicesDep) -> ModelManager:
    return services.models


ManagerDep = Annotated[ModelManager, Depends(_manager)]
