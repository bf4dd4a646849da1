"""`/health`, `/health/live`, `/health/ready`: for people, supervisors and load balancers."""

from fastapi import APIRouter, Request, Response

from viewfinder import __version__
from viewfinder.api.dependencies import ServicesDep
from viewfinder.api.errors import make_problem, problem_response, request_id
from viewfinder.api.schemas import Health, Readiness
from viewfinder.errors import RequestError, ServiceError

router = APIRouter(tags=["service"])


@router.get("/health")
@router.get("/health/live")
async def live() -> Health:
    """The process is alive."""
    return Health(version=__version__)


@router.get("/health/ready", response_model=Readiness)
async def ready(request: Request, services: ServicesDep) -> Readiness | Response:
    """Whether the default model can answer: it is loaded, and its threads live."""
    compute = "ready" if services.scheduler.threads else "failed"
    try:
        model = services.models.default_status()
    except (RequestError, ServiceError) as error:
        return _not_ready(request, error.detail)
    if model.state != "ready":
        return _not_ready(request, f"The default model is {model.state}; GET /v1/models says why.")
    if compute != "ready":
        return _not_ready(request, "No compute thread is alive; restart the server.")
    return Readiness(status="ready", parts={"model": model.state, "compute": compute})


def _not_ready(request: Request, detail: str) -> Response:
    return problem_response(make_problem("not_ready", detail, request_id(request)))
