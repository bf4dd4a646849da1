"""`/health`, `/health/live`, `/health/ready`: for people, supervisors and load balancers."""

from fastapi import APIRouter, Request, Response

from viewfinder import __version__
from viewfinder.api.dependencies import Services, ServicesDep
from viewfinder.api.errors import make_problem, problem_response, request_id
from viewfinder.api.schemas import Health, Readiness
from viewfinder.errors import RequestError, ServiceError

DRAINING = "draining"
"""Set in the state that every request sees when the server is about to stop."""

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
    models, settings = services.models, services.settings
    if request.scope["state"].get(DRAINING):
        return _not_ready(request, "The server is about to stop.")
    try:
        default = models.status_of(models.default)
    except (RequestError, ServiceError) as error:
        return _not_ready(request, error.detail)
    if default.state != "ready":
        return _not_ready(request, f"The default model is {default.state}.")
    alive = services.devices.cpu.threads
    if not alive:
        return _not_ready(request, "No compute thread is alive; restart the server.")
    parts = {"model": "ready", "compute": "ready"}
    if alive < settings.compute_threads:
        parts["compute"] = f"{alive} of {settings.compute_threads} threads"
    parts |= _others(services)
    whole = set(parts.values()) == {"ready"}
    return Readiness(status="ready" if whole else "degraded", parts=parts)


def _others(services: Services) -> dict[str, str]:
    """What the default model can do without."""
    parts: dict[str, str] = {}
    for name in services.settings.models:
        try:
            parts[f"model {name}"] = services.models.status_of(name).state
        except (RequestError, ServiceError):
            parts[f"model {name}"] = "failed"
    if services.recorder is not None:
        parts["results"] = services.recorder.state
    if services.retention is not None and services.retention.failing:
        parts["retention"] = "old results cannot be let go of"
    if services.jobs is not None and (problem := services.jobs.problem) is not None:
        parts["jobs"] = problem
    return parts


def _not_ready(request: Request, detail: str) -> Response:
    return problem_response(make_problem("not_ready", detail, request_id(request)))
