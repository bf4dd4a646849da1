"""`/health`, `/health/live`, `/health/ready`: for people, supervisors and load balancers."""

from fastapi import APIRouter, Request, Response

from viewfinder import __version__
from viewfinder.api.errors import ProblemResponse, make_problem, request_id
from viewfinder.api.schemas.health import Health, Readiness
from viewfinder.api.services import Services, ServicesDep
from viewfinder.errors import RequestError, ServiceError

DRAINING = "draining"
"""Set in the state that every request sees when the server is about to stop."""

READY = "ready"
"""How a part is that lacks nothing."""

_STORE = "the model store cannot be read; the models known so far go on to answer"
_WITHOUT_REDIS = {
    "cache": "Redis cannot be used; answers are worked out anew",
    "limits": "Redis cannot be used; each process counts requests for itself",
    "idempotency": "Redis cannot be used; requests with an Idempotency-Key are refused",
}

router = APIRouter(tags=["service"])


@router.head("/health", include_in_schema=False)
@router.head("/health/live", include_in_schema=False)
@router.get("/health")
@router.get("/health/live")
async def live() -> Health:
    """The process is alive."""
    return Health(version=__version__)


@router.head("/health/ready", include_in_schema=False, response_model=None)
@router.get("/health/ready", response_model=Readiness)
async def ready(request: Request, services: ServicesDep) -> Readiness | Response:
    """Whether the default model can answer; `degraded` when another part cannot."""
    if request.scope["state"].get(DRAINING):
        return _not_ready(request, "The server is about to stop.")
    lacking = _to_answer(services) if services.answering else await _to_work(services)
    if lacking is not None:
        return _not_ready(request, lacking)
    if not services.devices.cpu.threads:
        return _not_ready(request, "No compute thread is alive; restart the server.")
    parts = parts_of(services)
    whole = set(parts.values()) == {READY}
    return Readiness(status="ready" if whole else "degraded", parts=parts)


def parts_of(services: Services) -> dict[str, str]:
    """How each part is: `ready`, or what is wrong with it."""
    alive, threads = services.devices.cpu.threads, services.settings.compute_threads
    parts = {}
    if services.answering:
        parts["model"] = _state_of(services, services.models.default)
    parts["compute"] = READY if alive == threads else f"{alive} of {threads} threads"
    for name in services.settings.models if services.answering else ():
        parts[f"model {name}"] = _state_of(services, name)
    if services.recorder is not None:
        parts["results"] = services.recorder.state
    if services.models.store_is_away:
        parts["store"] = _STORE
    if services.access is not None and (wrong := services.access.problem) is not None:
        parts["keys"] = wrong
    if services.heartbeat is not None:
        parts |= {what: _WITHOUT_REDIS[what] for what in services.heartbeat.away}
    if services.retention is not None and services.retention.failing:
        parts["retention"] = "old results cannot be let go of"
    problem = None if services.jobs is None else services.jobs.problem
    if problem is not None or not services.answering:
        parts["jobs"] = problem or READY
    return parts


def _to_answer(services: Services) -> str | None:
    """What a server lacks to answer; None where it lacks nothing."""
    models = services.models
    try:
        default = models.status_of(models.default)
    except (RequestError, ServiceError) as error:
        return error.detail
    return None if default.state == READY else f"The default model is {default.state}."


async def _to_work(services: Services) -> str | None:
    """What a worker lacks to work on jobs; None where it lacks nothing."""
    if not await services.database.answers():
        return "The database cannot be reached."
    # It has no model of its own: each job names one, which is loaded then.
    problem = None if services.jobs is None else services.jobs.problem
    return None if problem is None else f"Jobs do not get on: {problem}."


def _state_of(services: Services, model: str) -> str:
    try:
        return services.models.status_of(model).state
    except (RequestError, ServiceError):
        return "failed"


def _not_ready(request: Request, detail: str) -> Response:
    return ProblemResponse(make_problem("not_ready", detail, request_id(request)))
