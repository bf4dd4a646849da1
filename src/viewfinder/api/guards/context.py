"""The request id, and the last net under everything."""

import logging
import re
import time

import uuid_utils
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewfinder.api.errors import ProblemResponse, to_problem
from viewfinder.api.guards.head import header
from viewfinder.telemetry.request import REQUEST_ID

logger = logging.getLogger(__name__)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestContext:
    """Takes or makes `X-Request-ID`, returns it, and turns an unforeseen error into a plain 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = header(scope, b"x-request-id") or ""
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["began"] = time.monotonic()
        REQUEST_ID.set(request_id)
        named, started = (b"x-request-id", request_id.encode()), False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), named]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            return  # there is nobody left to answer
        except Exception as error:
            logger.exception("request %s failed", request_id)
            if started:
                raise  # half an answer is out: the server must cut the connection
            response = ProblemResponse(to_problem(error, request_id))
            await response(scope, receive, send_with_id)
