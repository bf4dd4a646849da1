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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Self
from urllib.parse import urlsplit

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from viewfinder import __version__
from viewfinder.shared.seldom import Seldom
from viewfinder.telemetry.tracing import Attribute, Attributes, Kind, Span

logger = logging.getLogger(__name__)

_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
}
_NANO = 1_000_000_000
# A collector that is slower than this is away. What waits for it takes a few MB at most.
_PATIENCE_S = 3.0
_WAITING, _TOGETHER, _GATHER_MS = 4096, 512, 2000
_CLOSE_S = 1.5  # of the seven that the server has for what is left to do at its end
_LONGEST_VALUE = 256
_PROPAGATOR = TraceContextTextMapPropagator()
_IDS = RandomIdGenerator()


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

    __slots__ = ("_clock", "_span", "_tracer", "recording")

    def __init__(self, tracer: "OpenTelemetryTracer", span: Any, clock: _Clock) -> None:
        self._tracer = tracer
        self._span = span
        self._clock = clock
        # Also when it has ended: what it has started may go on.
        self.recording: bool = span.get_span_context().trace_flags.sampled

    @property
    def trace_id(self) -> str:
        """See `Span.trace_id`."""
        return f"{self._span.get_span_context().trace_id:032x}"

    @property
    def traceparent(self) -> str:
        """See `Span.traceparent`."""
        context = self._span.get_span_context()
        sampled = "01" if self.recording else "00"
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled}"

    def set(self, name: str, value: Attribute) -> None:
        """See `Span.set`."""
        self._span.set_attribute(name, value)

    def child(self, name: str, attributes: Attributes, kind: Kind) -> "OpenTelemetrySpan":
        """See `Span.child`."""
        context = set_span_in_context(self._span, Context())
        began = self._clock.now()
        return self._tracer.start(name, attributes, kind, context, clock=self._clock, began=began)

    def past(self, name: str, began: float, ended: float, attributes: Attributes) -> None:
        """See `Span.past`."""
        times = self._clock.at(began), self._clock.at(ended)
        self._tracer.add(name, attributes, self._span.get_span_context(), times)

    def fail(self, kind: str) -> None:
        """See `Span.fail`."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        """See `Span.end`."""
        self._span.end(self._clock.at(self._clock.now()))


class _Unkept:
    """A span of a trace that nobody will look at: it only lends its name to those who ask.

    Nine requests of ten have one: of the SDK's own, the sampler alone costs several times as much.
    """

    __slots__ = ("_ids",)
    recording = False

    def __init__(self) -> None:
        self._ids: tuple[int, int] | None = None

    def _known(self) -> tuple[int, int]:
        if self._ids is None:
            self._ids = _IDS.generate_trace_id(), _IDS.generate_span_id()
        return self._ids

    @property
    def trace_id(self) -> str:
        """See `Span.trace_id`."""
        return f"{self._known()[0]:032x}"

    @property
    def traceparent(self) -> str:
        """See `Span.traceparent`."""
        trace, span = self._known()
        return f"00-{trace:032x}-{span:016x}-00"

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
        # It would say the same of each batch; `_Told` says it once a minute.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._provider = TracerProvider(
            sampler=ParentBased(ALWAYS_ON),
            resource=_resource(),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_attribute_length=_LONGEST_VALUE),
        )
        self._outgoing = BatchSpanProcessor(
            exporter,
            max_queue_size=_WAITING,
            schedule_delay_millis=_GATHER_MS,
            max_export_batch_size=_TOGETHER,
        )
        self._provider.add_span_processor(self._outgoing)
        self._tracer = self._provider.get_tracer("viewfinder", __version__)
        self._scope = InstrumentationScope("viewfinder", __version__)

    @classmethod
    def sending(cls, endpoint: str, *, sample: float) -> Self:
        """One that sends to a collector.

        Args:
            endpoint: Its whole address, as `http://collector:4318/v1/traces`.
            sample: As above.
        """
        exporter = OTLPSpanExporter(endpoint, timeout=_PATIENCE_S, session=_session())
        return cls(Told(exporter, endpoint), sample=sample)

    def begin(
        self, name: str, attributes: Attributes, kind: Kind, headers: Mapping[str, str]
    ) -> Span:
        """See `Tracer.begin`."""
        context = _PROPAGATOR.extract(headers, Context()) if headers else Context()
        if not context and self._chance() >= self._sample:
            return _Unkept()
        clock = _Clock(self._wall(), self._monotonic(), self._monotonic)
        return self.start(name, attributes, kind, context, clock=clock, began=clock.began)

    def start(
        self,
        name: str,
        attributes: Attributes,
        kind: Kind,
        context: Any,
        *,
        clock: _Clock,
        began: float,
    ) -> OpenTelemetrySpan:
        """A span of the trace that a context names, that began then."""
        start = clock.at(began)
        span = self._tracer.start_span(name, context, _KINDS[kind], attributes, start_time=start)
        return OpenTelemetrySpan(self, span, clock)

    def add(self, name: str, attributes: Attributes, parent: Any, times: tuple[int, int]) -> None:
        """A span that is over: a tenth of the work of one that might still change."""
        itself = SpanContext(
            parent.trace_id,
            _IDS.generate_span_id(),
            is_remote=False,
            trace_flags=parent.trace_flags,
            trace_state=parent.trace_state,
        )
        began, ended = times
        self._outgoing.on_end(
            ReadableSpan(
                name,
                itself,
                parent,
                self._provider.resource,
                attributes,
                start_time=began,
                end_time=ended,
                instrumentation_scope=self._scope,
            )
        )

    async def close(self) -> None:
        """See `Tracer.close`. A collector that does not answer is left to a thread of its own."""
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def finish() -> None:
            self._provider.shutdown()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(done.set)

        threading.Thread(target=finish, name="traces", daemon=True).start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await done.wait()


class Told:
    """Passes spans on, and says, once a minute, that nobody takes them.

    Args:
        exporter: Who sends them.
        endpoint: Where to.
    """

    def __init__(self, exporter: Any, endpoint: str) -> None:
        self._exporter = exporter
        parts = urlsplit(endpoint)
        host, port = parts.hostname, f":{parts.port}" if parts.port else ""
        self._shown = f"{parts.scheme}://{host}{port}"  # the rest may be a secret
        self._log = Seldom()
        self._lost = 0
        self._complained = False

    def export(self, spans: Sequence[Any]) -> Any:
        """Send spans. What it raises is caught further out, and said nowhere."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self._note(len(spans), taken=result is SpanExportResult.SUCCESS)
        return result

    def _note(self, spans: int, *, taken: bool) -> None:
        if taken:
            if self._complained:
                logger.info("%s takes traces again", self._shown)
            self._complained = False
            return
        self._lost += spans
        if self._log.may_speak():
            self._complained = True
            logger.warning("%s takes no traces; %d spans are lost", self._shown, self._lost)

    def shutdown(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return bool(self._exporter.force_flush(timeout_millis))


def _session() -> Any:
    """Sends, and reads no more of an answer than its head: it may have no end."""
    session = import_module("requests").Session()
    session.stream = True
    session.hooks["response"].append(_look_at)
    return session


def _look_at(response: Any, **_: Any) -> None:
    response.close()
    if response.is_redirect:  # the exporter takes it for a success
        raise ValueError("the collector is somewhere else")


def _resource() -> Any:
    """Who speaks; what OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say comes first."""
    ours = Resource.create(
        {"service.name": "viewfinder", "service.version": __version__, "process.pid": os.getpid()}
    )
    return ours.merge(OTELResourceDetector().detect())
