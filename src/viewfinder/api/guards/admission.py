"""Overload, answered at the door."""

from fastapi.exceptions import RequestValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from viewfinder.api.call import TIMEOUT_HEADER, patience
from viewfinder.api.guards.head import header
from viewfinder.api.guards.paths import PHOTOS
from viewfinder.api.guards.refusal import refuse
from viewfinder.api.services import services_of
from viewfinder.errors import OverloadedError, ServiceError

_TIMEOUT = TIMEOUT_HEADER.lower().encode()


class Admission:
    """Refuses a photo that could not be looked at in time, before its body is read.

    Overload is answered with the little that a head costs: reading ten times as many photos as
    can be answered would take the cores from those that are.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http" and scope["path"] in PHOTOS:
            services = services_of(scope)
            given = header(scope, _TIMEOUT)
            try:
                seconds = patience(given, services.settings.request_timeout_s)
                services.devices.cpu.expect(scope["state"]["began"] + seconds)
            except OverloadedError as error:
                await refuse(error, scope, receive, send)
                return
            except (RequestValidationError, ServiceError):
                pass  # the route says it, with the rest of what there is to say
        await self._app(scope, receive, send)
