"""So much and no more, from each caller."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewfinder.api.guards.paths import PAGES
from viewfinder.api.guards.refusal import refuse
from viewfinder.api.services import principal_of, services_of
from viewfinder.errors import RateLimitedError
from viewfinder.quota.address import caller_at
from viewfinder.quota.window import Standing

_FREE = PAGES | {"/health", "/metrics"}


class RateLimit:
    """Counts each request for its caller, refuses what is too much, and says how the caller stands.

    The caller is who the key belongs to; without a key that counts, the client's address, so that
    guessing keys is limited too. `RateLimit` and `RateLimit-Policy` are as
    draft-ietf-httpapi-ratelimit-headers-11 has them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or is_free(scope["path"]):
            await self._app(scope, receive, send)
            return
        services = services_of(scope)
        settings = services.settings.rate_limit
        who, own = _caller(scope)
        requests = settings.requests if own is None else own
        standing = await services.rate.hit(who, requests)
        headers = _headers(standing, settings.window_s)
        if not standing.allowed:
            error = RateLimitedError(
                f"{standing.limit:,} requests in {settings.window_s:,} s are the limit.",
                retry_after_s=standing.reset_s,
            )
            await refuse(error, scope, receive, send, headers)
            return

        told = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

        async def send_with_standing(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *told]
            await send(message)

        await self._app(scope, receive, send_with_standing)


def is_free(path: str) -> bool:
    """Whether nobody counts: those who look after the server, and the pages themselves."""
    return path in _FREE or path.startswith(("/health/", "/static/"))


def _caller(scope: Scope) -> tuple[str, int | None]:
    """The name to count for, and the caller's own limit, if there is one."""
    principal = principal_of(scope)
    if principal is not None:
        return f"key {principal.id}", principal.requests
    client = scope.get("client")
    return f"address {caller_at(client[0]) if client else ''}", None


def _headers(standing: Standing, window_s: int) -> dict[str, str]:
    return {
        "RateLimit-Policy": f'"default";q={standing.limit};w={window_s}',
        "RateLimit": f'"default";r={standing.remaining};t={standing.reset_s}',
    }
