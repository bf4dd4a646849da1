"""What a route needs from the running application."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from viewfinder.serving.manager import ModelManager
from viewfinder.serving.scheduler import Scheduler
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one running process."""

    settings: Settings
    models: ModelManager
    scheduler: Scheduler
    classify: ClassifyService


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


async def _timeout(
    services: ServicesDep,
    milliseconds: Annotated[
        int | None,
        Header(
            alias="X-Request-Timeout-Ms",
            ge=1,
            description="Milliseconds within which the answer must begin; the server's own limit "
            "if that is less.",
        ),
    ] = None,
) -> float:
    limit = services.settings.request_timeout_s
    return limit if milliseconds is None else min(limit, milliseconds / 1000)


TimeoutDep = Annotated[float, Depends(_timeout)]
