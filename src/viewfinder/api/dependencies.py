"""What a route needs from the running application."""

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from viewfinder.serving.manager import ModelManager
from viewfinder.serving.scheduler import Scheduler
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import Settings

_LONGEST_MS = 24 * 3600 * 1000


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


async def _deadline(
    services: ServicesDep,
    milliseconds: Annotated[
        int | None,
        Header(
            alias="X-Request-Timeout-Ms",
            ge=1,
            le=_LONGEST_MS,
            description="Milliseconds within which the work must begin; the server's own limit if "
            "that is less.",
        ),
    ] = None,
) -> float:
    """On the clock of `time.monotonic`."""
    limit = services.settings.request_timeout_s
    return time.monotonic() + (limit if milliseconds is None else min(limit, milliseconds / 1000))


DeadlineDep = Annotated[float, Depends(_deadline)]
