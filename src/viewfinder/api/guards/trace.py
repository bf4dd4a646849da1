"""A span for every request, in the caller's trace or in one of its own."""

from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp, Receive, Scope, Send

from viewfinder.api.endpoints import UNMATCHED, Endpoints, is_routine, known_method
from viewfinder.api.errors import is_own_fault
from viewfinder.api.guards.observe import SendNoting
from viewfinder.api.request_log import shown_path
from viewfinder.api.services import services_of
from viewfinder.telemetry.tracing import Attributes, Span, Tracer, within

# More of a `tracestate` than it must be possible to pass on (W3C Trace Context, 3.3.1.5).
_LONGEST_HEADER = 512
_NONE: Attributes = {}

NOT_OF_FASTAPI: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}
"""FastAPI has spans, metrics and records of its own, which stand beside ours as soon as the process
has any provider, and tell what was sent: every application is made without them."""

_HEADERS = {b"traceparent": "traceparent", b"tracestate": "tracestate"}


class Trace:
    """Opens the span of a request, and closes it when the last byte of the answer is out.

    It stands around everything else that concerns a request. Looks at health and metrics, and files
    of pages, have no span.

    Args:
        app: What is further in.
        endpoints: Know which route a path belongs to.
    """

    def __init__(self, app: ASGIApp, endpoints: Endpoints) -> None:
        self._app = app
        self._endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tracer, endpoint = services_of(scope).tracer, self._endpoints.of(scope)
        if tracer is None or is_routine(endpoint):
            await self._app(scope, receive, send)
            return
        await self._traced(tracer, endpoint, scope, receive, send)

    async def _traced(
        self, tracer: Tracer, endpoint: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        method = known_method(scope)
        name = method or "HTTP"
        if endpoint != UNMATCHED:
            name = f"{name} {endpoint}"
        span = tracer.begin(name, _NONE, "server", _context(scope))
        if not span.recording:
            with within(span):
                await self._app(scope, receive, send)
            return
        _introduce(span, scope, method, endpoint)
        noting = SendNoting(scope, send)
        with within(span):
            try:
                await self._app(scope, receive, noting)
            finally:
                _tell(span, scope, noting.status)


def _context(scope: Scope) -> dict[str, str]:
    """The headers of the caller's trace; what is said twice is not said."""
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        if name in _HEADERS:
            found.setdefault(_HEADERS[name], []).append(value.decode("latin-1"))
    return {
        name: values[0]
        for name, values in found.items()
        if len(values) == 1 and len(values[0]) <= _LONGEST_HEADER
    }


def _introduce(span: Span, scope: Scope, method: str | None, endpoint: str) -> None:
    span.set("http.request.method", method or "_OTHER")
    span.set("url.path", shown_path(scope))
    span.set("url.scheme", scope["scheme"])
    if endpoint != UNMATCHED:
        span.set("http.route", endpoint)


def _tell(span: Span, scope: Scope, status: int) -> None:
    state = scope.get("state", {})
    span.set("http.response.status_code", status)
    if is_own_fault(status):
        span.fail(str(status))
    if (request_id := state.get("request_id")) is not None:
        span.set("viewfinder.request_id", request_id)
    if (problem := state.get("problem")) is not None:
        span.set("error.type", problem)
    if (images := state.get("images")) is not None:
        span.set("viewfinder.images", images)
    elif len(predictions := state.get("predictions", [])) == 1:
        span.set("viewfinder.model", predictions[0].model.name)
        span.set("viewfinder.version", predictions[0].model.version)
        span.set("viewfinder.variant", predictions[0].model.variant)
        span.set("viewfinder.cached", predictions[0].cached)
