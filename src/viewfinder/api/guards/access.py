"""Who asks, and whether they may."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from viewfinder.api.guards.paths import PAGES, PHOTOS
from viewfinder.api.guards.refusal import refuse
from viewfinder.api.services import principal_of, services_of
from viewfinder.errors import ForbiddenError, NotReadyError, UnauthenticatedError
from viewfinder.types import AccessScope, Principal

PUBLIC = PAGES | {"/health", "/health/live", "/health/ready"}
"""What anybody may look at; so are the files below `/static/`. What pages show, they ask for."""

_LOOKS = {"GET", "HEAD"}
# Who sends photos may send them as a job, call that off, verify its callback, and say what an
# answer should have been.
_OF_ONES_OWN = (
    re.compile(r"POST /v1/jobs"),
    re.compile(r"DELETE /v1/jobs/[^/]+"),
    re.compile(r"(PUT|DELETE) /v1/results/[^/]+/feedback"),
    re.compile(r"(GET|HEAD) /v1/webhooks/secret"),
    re.compile(r"POST /v1/webhooks/secret/rotate"),
)
# Photos of everybody at once, where `read` shows one.
_OF_EVERYBODY = re.compile(r"(GET|HEAD) /v1/results/export")
_BEARER = "bearer"


def needed_scope(method: str, path: str) -> AccessScope | None:
    """What one needs to be allowed to ask this; None for what anybody may.

    What is not named here is not forgotten: it needs `read` to look and `manage` for the rest.
    """
    looks = method in _LOOKS
    if looks and (path in PUBLIC or path.startswith("/static/")):
        return None
    if method == "POST" and path in PHOTOS:
        return "classify"
    if any(ours.fullmatch(f"{method} {path}") for ours in _OF_ONES_OWN):
        return "classify"
    if _OF_EVERYBODY.fullmatch(f"{method} {path}"):
        return "manage"
    return "read" if looks else "manage"


class Identify:
    """Finds out who asks, and refuses nobody.

    It leaves `principal` in the state of the request, which is None for who shows no key, or one
    that does not count, or of which nobody can say that now; then `identity_error` tells it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            state = scope["state"]
            state["principal"], state["identity_error"] = None, None
            # What is open to anybody waits for nobody: health is asked for in the worst of times.
            anybody = needed_scope(scope["method"], scope["path"]) is None
            try:
                state["principal"] = None if anybody else await _principal(scope)
            except (UnauthenticatedError, NotReadyError) as error:
                state["identity_error"] = error
        await self._app(scope, receive, send)


class Authorise:
    """Refuses who may not ask this, before a body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http":
            needed = needed_scope(scope["method"], scope["path"])
            principal = principal_of(scope)
            if needed is not None and principal is None:
                await _refuse_stranger(scope, receive, send)
                return
            if needed is not None and principal is not None and needed not in principal.scopes:
                lacking = ForbiddenError(f"This key lacks the scope `{needed}`.")
                await refuse(lacking, scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _refuse_stranger(scope: Scope, receive: Receive, send: Send) -> None:
    error = scope["state"]["identity_error"]
    if isinstance(error, NotReadyError):
        await refuse(error, scope, receive, send)
        return
    challenge = "Bearer" if error is None else 'Bearer error="invalid_token"'
    error = error or UnauthenticatedError(
        "This server asks for a key: send it as `Authorization: Bearer <key>` or as `X-API-Key`."
    )
    await refuse(error, scope, receive, send, {"WWW-Authenticate": challenge})


async def _principal(scope: Scope) -> Principal | None:
    token = _token(scope)
    if token is None:
        return None
    access = services_of(scope).access
    if access is None:
        raise UnauthenticatedError("This server knows no keys.")
    return await access.identify(token)


def _token(scope: Scope) -> str | None:
    """The key that is shown; in either header, and the same in both."""
    shown = set()
    for name, value in scope["headers"]:
        if name == b"x-api-key":
            shown.add(value.decode("latin-1").strip())
        elif name == b"authorization":
            text = value.decode("latin-1")
            scheme, *rest = text.split(maxsplit=1) or [""]
            if scheme.lower() == _BEARER:  # another scheme is somebody else's
                shown.add("".join(rest).strip())
    shown.discard("")
    if len(shown) > 1:
        raise UnauthenticatedError("The request has two keys that differ; send one.")
    return shown.pop() if shown else None
