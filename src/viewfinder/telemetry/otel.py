"""Traces by OpenTelemetry, sent as OTLP over HTTP. Needs the extra `otel`.

Import it by `tracing.open_tracer` alone.
"""

import asyncio
import contextlib
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    get_current_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from viewfinder import __version__
from viewfinder.telemetry.otlp import exporter_to
from viewfinder.telemetry.tracing import Attribute, Attributes, Kind, Span

logger = logging.getLogger(__name__)

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
}
_NANO = 1_000_000_000
# What waits for a collector takes a few MB at most.
_WAITING, _TOGETHER, _GATHER_MS = 4096, 512, 2000
_CLOSE_S = 1.5  # of the seven that the server has for what is left to do at its end
_LONGEST_VALUE = 256
_PROPAGATOR = TraceContextTextMapPropagator()
_IDS = RandomIdGenerator()
_FINE, _FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED | TraceFlags.RANDOM_TRACE_ID)


@dataclass(frozen=True, slots=True)
class _Clock:
    """What time it was when a trace began, on both clocks.

    All times of a trace are counted from there, so that a wall clock that is set meanwhile turns
    no span around.
    """

    wall_ns: int
    began: float
    now: Callable[[], float]

    def at(self, moment: float) -> int:
        """A moment on the clock of `time.monotonic`, in nanoseconds since 1970."""
        return self.wall_ns + round((moment - self.began) * _NANO)


class OpenTelemetrySpan:
    """See `tracing.Span`."""

    __slots__ = (
        "_attributes",
        "_began",
        "_clock",
        "_context",
        "_failed",
        "_kind",
        "_name",
        "_parent",
        "_tracer",
    )
    recording = True  # also when it has ended: what it has started may go on

    def __init__(
        self,
        tracer: "OpenTelemetryTracer",
        name: str,
        attributes: Attributes,
        kind: Kind,
        *,
        parent: SpanContext | None,
        clock: _Clock,
        began: float,
    ) -> None:
        self._tracer = tracer
        self._clock = clock
        self._name = name
        self._kind = kind
        self._parent = parent
        self._context = _context_in(parent)
        self._began = began
        self._failed = False
        self._attributes: dict[str, Attribute] | None = {}
        for key, value in attributes.items():
            self.set(key, value)

    @property
    def trace_id(self) -> str:
        """See `Span.trace_id`."""
        return f"{self._context.trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """See `Span.traceparent`."""
        return f"00-{self._context.trace_id:032x}-{self._context.span_id:016x}-01"

    def set(self, name: str, value: Attribute) -> None:
        """See `Span.set`."""
        if self._attributes is not None:
            self._attributes[name] = value[:_LONGEST_VALUE] if isinstance(value, str) else value

    def child(self, name: str, attributes: Attributes, kind: Kind) -> "OpenTelemetrySpan":
        """See `Span.child`."""
        return self._part(name, attributes, kind, self._clock.now())

    def past(self, name: str, began: float, ended: float, attributes: Attributes) -> None:
        """See `Span.past`."""
        self._part(name, attributes, "internal", began).end_at(ended)

    def fail(self, kind: str) -> None:
        """See `Span.fail`."""
        self.set("error.type", kind)
        self._failed = True

    def end(self) -> None:
        """See `Span.end`."""
        self.end_at(self._clock.now())

    def end_at(self, moment: float) -> None:
        """It ended then; what is said of it from now on is lost."""
        if self._attributes is None:
            return
        # From here on they are the exporter's, on its own thread.
        attributes, self._attributes = self._attributes, None
        self._tracer.send(
            name=self._name,
            context=self._context,
            parent=self._parent,
            attributes=attributes,
            kind=_KINDS[self._kind],
            status=_FAILED if self._failed else _FINE,
            start_time=self._clock.at(self._began),
            end_time=self._clock.at(moment),
        )

    def _part(
        self, name: str, attributes: Attributes, kind: Kind, began: float
    ) -> "OpenTelemetrySpan":
        return OpenTelemetrySpan(
            self._tracer,
            name,
            attributes,
            kind,
            parent=self._context,
            clock=self._clock,
            began=began,
        )


class _Unkept:
    """A span of a trace that nobody will look at: it only lends its name to those who ask.

    Args:
        trace: The caller's, where the caller has one that is not kept.
    """

    __slots__ = ("_span", "_trace")
    recording = False

    def __init__(self, trace: int | None = None) -> None:
        self._trace = trace
        self._span: int | None = None

    @property
    def trace_id(self) -> str:
        """See `Span.trace_id`."""
        self._trace = self._trace or _IDS.generate_trace_id()
        return f"{self._trace:032x}"

    @property
    def traceparent(self) -> str:
        """See `Span.traceparent`."""
        self._span = self._span or _IDS.generate_span_id()
        return f"00-{self.trace_id}-{self._span:016x}-00"

    def set(self, name: str, value: Attribute) -> None:
        """See `Span.set`."""

    def child(self, _name: str, _attributes: Attributes, _kind: Kind) -> Self:
        """See `Span.child`."""
        return self

    def past(self, name: str, began: float, ended: float, attributes: Attributes) -> None:
        """See `Span.past`."""

    def fail(self, kind: str) -> None:
        """See `Span.fail`."""

    def end(self) -> None:
        """See `Span.end`."""


class OpenTelemetryTracer:
    """See `tracing.Tracer`.

    Spans are our own until they end: those of the SDK, which may have events, links and samplers
    of all kinds, take several times as long to begin.

    Args:
        exporter: An `opentelemetry.sdk.trace.export.SpanExporter`.
        sample: The share of traces to keep, 0-1, where the caller has not decided.
        wall: Nanoseconds since 1970.
        monotonic: Seconds, from any moment on.
        chance: A number of 0-1, each as likely.
    """

    def __init__(
        self,
        exporter: Any,
        *,
        sample: float,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._sample = sample
        self._chance = chance
        self._wall = wall
        self._monotonic = monotonic
        # It would say the same of each batch; `Told` says it once a minute.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._resource = _resource()
        self._scope = InstrumentationScope("viewfinder", __version__)
        self._outgoing = BatchSpanProcessor(
            exporter,
            max_queue_size=_WAITING,
            schedule_delay_millis=_GATHER_MS,
            max_export_batch_size=_TOGETHER,
        )

    @classmethod
    def sending(cls, endpoint: str, *, sample: float) -> Self:
        """One that sends to a collector.

        Args:
            endpoint: Its whole address, as `http://collector:4318/v1/traces`.
            sample: As above.
        """
        return cls(exporter_to(endpoint), sample=sample)

    def begin(
        self, name: str, attributes: Attributes, kind: Kind, headers: Mapping[str, str]
    ) -> Span:
        """See `Tracer.begin`."""
        caller = _caller(headers) if headers else None
        if caller is not None and not caller.trace_flags.sampled:
            return _Unkept(caller.trace_id)
        if caller is None and self._chance() >= self._sample:
            return _Unkept()
        clock = _Clock(self._wall(), self._monotonic(), self._monotonic)
        return OpenTelemetrySpan(
            self, name, attributes, kind, parent=caller, clock=clock, began=clock.began
        )

    def send(self, **span: Any) -> None:
        """Hand a span on that is over, a moment later and together with others.

        Args:
            span: What `ReadableSpan` takes.
        """
        self._outgoing.on_end(
            ReadableSpan(**span, resource=self._resource, instrumentation_scope=self._scope)
        )

    def flush(self) -> None:
        """Send what waits, now."""
        self._outgoing.force_flush()

    async def close(self) -> None:
        """See `Tracer.close`. A collector that does not answer is left to a thread of its own."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def finish() -> None:
            self._outgoing.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=finish, name="traces", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await done.wait()


def _caller(headers: Mapping[str, str]) -> SpanContext | None:
    """The caller's span; None where the headers name none."""
    context = get_current_span(_PROPAGATOR.extract(headers, Context())).get_span_context()
    return context if context.is_valid else None


def _context_in(parent: SpanContext | None) -> SpanContext:
    """That of a new span in the trace of another, or in a trace of its own."""
    return SpanContext(
        _IDS.generate_trace_id() if parent is None else parent.trace_id,
        _IDS.generate_span_id(),
        is_remote=False,
        trace_flags=_SAMPLED if parent is None else parent.trace_flags,
        trace_state=None if parent is None else parent.trace_state,
    )


def _resource() -> Any:
    """Who speaks; what OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say comes first."""
    ours = Resource.create(
        {"service.name": "viewfinder", "service.version": __version__, "process.pid": os.getpid()}
    )
    return ours.merge(OTELResourceDetector().detect())
