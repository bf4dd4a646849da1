"""From where a request comes, and what it pretends to be."""

from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from viewfinder.api.guards.head import header
from viewfinder.api.guards.refusal import refuse
from viewfinder.errors import ForbiddenError, MalformedRequestError
from viewfinder.net.addresses import is_loopback

_BODY = {b"content-length", b"transfer-encoding"}
_PROXIED = {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip"}


class NoUpgrade:
    """Refuses a body under `Upgrade` or `CONNECT`, and closes.

    The HTTP parser takes what follows such a head for another protocol or another request, which
    would let one request hide in the body of another.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            names = {name for name, _ in scope["headers"]}
            leaves = b"upgrade" in names or scope["method"] == "CONNECT"
            if leaves and not names.isdisjoint(_BODY):
                error = MalformedRequestError(
                    "This server neither upgrades nor tunnels: "
                    "send no body with the header Upgrade or the method CONNECT."
                )
                await refuse(error, scope, receive, send, {"Connection": "close"})
                return
        await self._app(scope, receive, send)


class NoStrangers:
    """Refuses, before a body is read, what is not for everybody where anybody could ask for it.

    That is a server without keys that others can reach: at a public address, or through a proxy
    on this machine, which says so in a header. There nobody changes models, nobody is told the
    secret that callbacks are signed with, and nobody reads, or erases, what others have sent: who
    has sent a job knows its id, and may ask for that.
    """

    def __init__(self, app: ASGIApp, *, public: bool) -> None:
        self._app = app
        self._public = public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            instead = _done_elsewhere(scope["method"], scope["path"])
            if instead is not None and (
                self._public or not _PROXIED.isdisjoint(name for name, _ in scope["headers"])
            ):
                error = ForbiddenError(
                    f"This server has no keys, and can be reached by others: {instead}."
                )
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


def _done_elsewhere(method: str, path: str) -> str | None:
    """How that is done where strangers may not do it; None for what they may."""
    if path.startswith("/v1/models") and method not in {"GET", "HEAD"}:
        return "models are changed at its command line, by `viewfinder models`"
    if path.startswith("/v1/webhooks"):
        return "its secret is shown at its command line, by `viewfinder keys webhook-secret`"
    if path.startswith("/v1/results") or (method != "POST" and path == "/v1/jobs"):
        return "what others have sent is shown to those who have a key"
    return None


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
            origin = header(scope, b"origin")
            if not is_loopback(_host_of("//" + (header(scope, b"host") or ""))) or (
                origin is not None and not is_loopback(_host_of(origin))
            ):
                error = ForbiddenError(
                    "This server has no keys and answers only to localhost: "
                    "Host and Origin must be a loopback address."
                )
                await refuse(error, scope, receive, send)
                return
        await self._app(scope, receive, send)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
