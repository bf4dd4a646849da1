"""What a route needs from the running application."""

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request

from viewfinder.api.middleware import is_loopback
from viewfinder.errors import ForbiddenError
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.scheduler import Devices
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import Settings

_LONGEST_MS = 24 * 3600 * 1000


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one running process."""

    settings: Settings
    models: ModelManager
    devices: Devices
    classify: ClassifyService


async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(_services)]


@dataclass(frozen=True, slots=True)
class Call:
    """One request for answers.

    Attributes:
        services: Who can give them.
        deadline: On the clock of `time.monotonic`.
        caller: Who asks, as far as that is known: the key that they show, not checked here.
    """

    services: Services
    deadline: float
    caller: str | None


async def _call(
    request: Request,
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
) -> Call:
    limit = services.settings.request_timeout_s
    seconds = limit if milliseconds is None else min(limit, milliseconds / 1000)
    caller = request.headers.get("x-api-key") or request.headers.get("authorization")
    return Call(services, time.monotonic() + seconds, caller)


CallDep = Annotated[Call, Depends(_call)]


async def _manager(services: ServicesDep) -> ModelManager:
    """The models, for those who may change them."""
    if not is_loopback(services.settings.host):
        raise ForbiddenError(
            "This server has no keys, and can be reached by others: models are changed at its "
            "command line, by `viewfinder models`."
        )
    return services.models


ManagerDep = Annotated[ModelManager, Depends(_manager)]
