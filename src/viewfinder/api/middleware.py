"""Pure ASGI, around everything: the request id, the check of who is asking, the last net."""

import logging
import re
import time
from urllib.parse import urlsplit

import uuid_utils
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewfinder.api.dependencies import TIMEOUT_HEADER, Services, patience
from viewfinder.api.errors import problem_response, to_problem
from viewfinder.api.loopback import is_loopback
from viewfinder.errors import ForbiddenError, MalformedRequestError, OverloadedError, ServiceError

logger = logging.getLogger(__name__)
_CLASSIFY = {"/classify", "/v1/classify", "/batch-classify", "/v1/batch-classify"}
_PROXIED = {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"}
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
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid_utils.uuid7())
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        state["began"] = time.monotonic()
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            return  # there is nobody left to answer
        except Exception as error:
            logger.exception("request %s failed", request_id)
            if started:
                raise  # half an answer is out: the server must cut the connection
            response = problem_response(to_problem(error, request_id))
            await response(scope, receive, send_with_id)


class NoUpgrade:
    """Refuses a body under `Upgrade`, and closes.

    The HTTP parser takes what follows such a head for another protocol or another request, which
    would let one request hide in the body of another.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            has_body = "content-length" in headers or "transfer-encoding" in headers
            if "upgrade" in headers and has_body:
                error = MalformedRequestError(
                    "This server does not upgrade; send the body without the header Upgrade."
                )
                problem = to_problem(error, scope["state"]["request_id"])
                await problem_response(problem, {"Connection": "close"})(scope, receive, send)
                return
        await self._app(scope, receive, send)


class Admission:
    """Refuses a photo that could not be looked at in time, before its body is read.

    Overload is answered with the little that a head costs: reading ten times as many photos as
    can be answered would take the cores from those that are.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http" and scope["path"] in _CLASSIFY:
            services: Services = scope["app"].state.services
            header = Headers(scope=scope).get(TIMEOUT_HEADER)
            try:
                seconds = patience(header, services.settings.request_timeout_s)
                services.devices.cpu.expect(scope["state"]["began"] + seconds)
            except OverloadedError as error:
                problem = to_problem(error, scope["state"]["request_id"])
                retry = {"Retry-After": str(error.retry_after_s)}
                if "expect" in Headers(scope=scope):
                    # The client will not send the body that the parser goes on to wait for.
                    retry["Connection"] = "close"
                await problem_response(problem, retry)(scope, receive, send)
                return
            except (RequestValidationError, ServiceError):
                pass  # the route says it, with the rest of what there is to say
        await self._app(scope, receive, send)


class ReadOnlyModels:
    """Refuses changes of models, before their body is read, where anybody could ask for them.

    That is a server without keys that others can reach: at a public address, or through a proxy
    on this machine, which says so in a header.
    """

    def __init__(self, app: ASGIApp, *, public: bool) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if (
            scope["type"] == "http"
            and scope["path"].startswith("/v1/models")
            and scope["method"] not in {"GET", "HEAD"}
            and (self._public or not _PROXIED.isdisjoint(name for name, _ in scope["headers"]))
        ):
            error = ForbiddenError(
                "This server has no keys, and can be reached by others: models are changed at its "
                "command line, by `viewfinder models`."
            )
            problem = to_problem(error, scope["state"]["request_id"])
            await problem_response(problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class LoopbackOnly:
    """Refuses what a web page from elsewhere could send to a server that has no keys.

    A page can point its own name at 127.0.0.1 (DNS rebinding) or post a form across sites; the
    browser then says so in `Host` or `Origin`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            origin = headers.get("origin")
            if not is_loopback(_host_of("//" + headers.get("host", ""))) or (
                origin is not None and not is_loopback(_host_of(origin))
            ):
                error = ForbiddenError(
                    "This server has no keys and answers only to localhost: "
                    "Host and Origin must be a loopback address."
                )
                problem = to_problem(error, scope["state"]["request_id"])
                await problem_response(problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
