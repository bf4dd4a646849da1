"""What every request came to, for those who count, log and trace."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewfinder.api.endpoints import Endpoints

GONE = 499
"""The status of a request whose client did not wait for the answer, as nginx has it."""

ANSWERED = "answered"
"""In the state of a request: the status of what was answered in place of the application."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that is over.

    Attributes:
        scope: As ASGI has it. Its state holds `request_id`, and, where there is one, `principal`,
            `problem` (the code of the error that was answered) and `predictions`.
        endpoint: The template of its route, `/v1/jobs/{job_id}`; never the path itself.
        status: What was answered; `GONE` where nothing was.
        seconds: Until the last byte of the answer was handed on.
    """

    scope: Scope
    endpoint: str
    status: int
    seconds: float


class Observer(Protocol):
    """Hears of every request that is over."""

    def finished(self, request: Finished) -> None:
        """Take note; returns at once and never fails."""


class SendNoting:
    """Sends on what an application answers, and notes the status.

    Args:
        scope: Of the request.
        send: Where it goes.
    """

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._status: int | None = None

    @property
    def status(self) -> int:
        """What was answered, in place of the application too; `GONE` where nothing was."""
        if self._status is None:
            return int(self._scope.get("state", {}).get(ANSWERED, GONE))
        return self._status

    async def __call__(self, message: Message) -> None:
        """Send a message on."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
        await self._send(message)


class Observe:
    """Tells the observers of the application of every request; itself the outermost guard.

    Args:
        app: What is further in.
        endpoints: Know which route a path belongs to.
        observers: May still be added to.
    """

    def __init__(self, app: ASGIApp, endpoints: Endpoints, observers: Sequence[Observer]) -> None:
        self._app = app
        self._endpoints = endpoints
        self._observers = observers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or not self._observers:
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        noting = SendNoting(scope, send)
        try:
            await self._app(scope, receive, noting)
        finally:
            seconds = time.monotonic() - began
            request = Finished(scope, self._endpoints.of(scope), noting.status, seconds)
            for observer in self._observers:
                observer.finished(request)
