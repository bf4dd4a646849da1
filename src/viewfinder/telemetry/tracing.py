"""Traces: where the time of a request, or of work in the background, went.

All other rooms know this module alone. Where tracing is off, nobody has ever begun a span: then
`span` and the rest look at one variable of the context, and that is all. OpenTelemetry stands
behind `open_tracer`.

A span is a child of the one around it, in the same task or in one that was started inside. Without
one around it there is none: what a process does by itself, again and again, is no trace. Work that
is worth one begins it with `trace`.
"""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar, copy_context
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import Literal, ParamSpec, Protocol, Self, TypeAlias, TypeVar, cast
from urllib.parse import urlsplit

from viewfinder.errors import MissingExtraError, SettingsError, ViewfinderError
from viewfinder.settings import TracingSettings

Attribute: TypeAlias = str | bool | int | float
Attributes: TypeAlias = Mapping[str, Attribute]
Kind = Literal["internal", "server", "client"]
"""Whether somebody else is asked (`client`), or asks (`server`)."""

Given = ParamSpec("Given")
Result = TypeVar("Result")

_NONE: Attributes = {}
_PATH = "/v1/traces"
_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class Span(Protocol):
    """A stretch of time with a name. Times are on the clock of `time.monotonic`."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""

    @property
    def traceparent(self) -> str:
        """The header by which another service goes on with this trace (W3C Trace Context)."""

    @property
    def recording(self) -> bool:
        """Whether the trace is one of those that are kept."""

    def set(self, name: str, value: Attribute) -> None:
        """Say something of it: never what a client has sent, but for the path."""

    def child(self, name: str, attributes: Attributes, kind: Kind) -> "Span":
        """A part of it, that begins now."""

    def past(self, name: str, began: float, ended: float, attributes: Attributes) -> None:
        """A part of it, that is over."""

    def fail(self, kind: str) -> None:
        """It comes to a failure of that kind; one of few."""

    def end(self) -> None:
        """It ends now."""


class Tracer(Protocol):
    """Begins traces, and sends them to whoever collects them."""

    def begin(
        self, name: str, attributes: Attributes, kind: Kind, headers: Mapping[str, str]
    ) -> Span:
        """The first span of a trace in this process.

        Args:
            name: What is done; one of few.
            attributes: What is known of it now.
            kind: Who asks whom.
            headers: `traceparent` and `tracestate` of who asks; what is wrong in them is ignored.
        """

    async def close(self) -> None:
        """Send what is left, for a moment at most."""


_CURRENT: ContextVar[Span | None] = ContextVar("span", default=None)
_TRACER: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


class Note(Protocol):
    """Of a span, what the code inside may use."""

    def set(self, name: str, value: Attribute) -> None:
        """See `Span.set`."""


class Block(Protocol):
    """A span for as long as a `with` block lasts."""

    def __enter__(self) -> Note: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None: ...


class _Nothing:
    """The block, and the span, where there is none."""

    __slots__ = ()

    def set(self, name: str, value: Attribute) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Within:
    __slots__ = ("_outer", "_span")

    def __init__(self, span: Span) -> None:
        self._span = span
        self._outer: Span | None = None

    def __enter__(self) -> Span:
        self._outer = _CURRENT.get()
        _CURRENT.set(self._span)
        return self._span

    def __exit__(
        self, _kind: object, error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        _CURRENT.set(self._outer)
        failure = failure_of(error)
        if failure is not None:
            self._span.fail(failure)
        self._span.end()


_NOTHING = _Nothing()


def current() -> Span | None:
    """The innermost span around here."""
    return _CURRENT.get()


def within(span: Span) -> Block:
    """A block inside a span, which ends with it."""
    return _Within(span)


def span(
    name: str,
    attributes: Attributes = _NONE,
    kind: Kind = "internal",
    *,
    parent: Span | None = None,
) -> Block:
    """A part of what is being traced here; nothing, where nothing is.

    Args:
        name: What is done; one of few.
        attributes: What is known of it.
        kind: Who asks whom.
        parent: What it is a part of; what is around here if not given.
    """
    around = parent or _CURRENT.get()
    if around is None or not around.recording:
        return _NOTHING
    return _Within(around.child(name, attributes, kind))


def trace(name: str, attributes: Attributes = _NONE, kind: Kind = "internal") -> Block:
    """A trace of its own, for work in the background; nothing where tracing is off."""
    tracer = _TRACER.get()
    if tracer is None:
        return _NOTHING
    return _Within(tracer.begin(name, attributes, kind, {}))


def past(name: str, began: float, ended: float, attributes: Attributes = _NONE) -> None:
    """A part of what is being traced here, that has been measured already."""
    around = _CURRENT.get()
    if around is not None and around.recording:
        around.past(name, began, max(began, ended), attributes)


def outgoing() -> dict[str, str]:
    """Headers for whoever is asked from here. No `tracestate`: that is for the caller's own."""
    around = _CURRENT.get()
    return {} if around is None else {"traceparent": around.traceparent}


def carried(work: Callable[Given, Result]) -> Callable[Given, Result]:
    """The same work, as a part of what is being traced here, on whatever thread."""
    if _CURRENT.get() is None:
        return work
    return cast("Callable[Given, Result]", partial(copy_context().run, work))


@contextlib.contextmanager
def using(tracer: Tracer | None) -> Iterator[None]:
    """Let `trace`, in here and in tasks that are started in here, begin traces."""
    outer = _TRACER.get()
    _TRACER.set(tracer)
    try:
        yield
    finally:
        _TRACER.set(outer)


def failure_of(error: BaseException | None) -> str | None:
    """The kind of a failure, which names nothing of a request; a cancellation is none."""
    if isinstance(error, ViewfinderError):
        return error.code
    return type(error).__name__ if isinstance(error, Exception) else None


def collector(settings: TracingSettings) -> str | None:
    """Where traces go; None for nowhere.

    Raises:
        SettingsError: The address makes no sense.
        MissingExtraError: OpenTelemetry is not installed.
    """
    if settings.endpoint is None:
        return None
    try:
        parts = urlsplit(settings.endpoint)
        usable = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(
            "the setting tracing.endpoint is not valid: give http://host:4318, or https://host"
        )
    if not all(map(_is_there, _PACKAGES)):
        raise MissingExtraError("Tracing", "otel")
    return parts._replace(path=_PATH).geturl() if parts.path in {"", "/"} else settings.endpoint


def _is_there(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def open_tracer(settings: TracingSettings) -> Tracer | None:
    """What the settings ask for; None for no traces, and then nothing is imported for them.

    Raises:
        SettingsError: The address makes no sense.
        MissingExtraError: OpenTelemetry is not installed.
    """
    endpoint = collector(settings)
    if endpoint is None:
        return None
    module = import_module("viewfinder.telemetry.otel")
    return cast("Tracer", module.OpenTelemetryTracer.sending(endpoint, sample=settings.sample))
