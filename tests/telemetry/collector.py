"""A receiver of OTLP over HTTP, as the protocol has it, that tests can look into."""

import contextlib
import importlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

Mood = Literal["takes", "fails", "is silent", "redirects", "never ends"]


@dataclass(frozen=True)
class Received:
    """One span, as it came.

    Attributes:
        name: What is done.
        kind: `SPAN_KIND_SERVER` and so on.
        trace: 32 hexadecimal digits.
        id: 16 hexadecimal digits.
        parent: As `id`; empty for the first of a trace.
        began: Nanoseconds since 1970.
        ended: As well.
        failed: Whether its status is an error.
        attributes: What it says of itself.
        resource: What its process says of itself.
    """

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]

    def is_inside(self, other: "Received") -> bool:
        """Whether its time is a part of the other's."""
        return other.began <= self.began <= self.ended <= other.ended


@dataclass
class Collector:
    """The receiver.

    Attributes:
        url: Where it listens.
        spans: What it has taken, in its order.
        raw: The bytes of all that came.
        calls: How often it was called.
        mood: What it does.
        headers: Of the last call.
        endless: Whether somebody has read all of an answer that never ends: 50 MB.
    """

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    calls: int = 0
    mood: Mood = "takes"
    headers: dict[str, str] = field(default_factory=dict)
    endless: bool = False
    over: threading.Event = field(default_factory=threading.Event)

    def named(self, name: str) -> list[Received]:
        """Those of a name."""
        return [span for span in list(self.spans) if span.name == name]

    def one(self, name: str) -> Received:
        """The only one of a name."""
        (found,) = self.named(name)
        return found

    def children_of(self, parent: Received) -> list[Received]:
        """Its parts, the earliest first."""
        found = [
            span for span in self.spans if span.parent == parent.id and span.trace == parent.trace
        ]
        return sorted(found, key=lambda span: (span.began, span.ended))

    def take(self, body: bytes) -> None:
        """Read a request."""
        wire = importlib.import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
        trace = importlib.import_module("opentelemetry.proto.trace.v1.trace_pb2")
        request = wire.ExportTraceServiceRequest.FromString(body)
        for group in request.resource_spans:
            resource = _attributes(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_read(span, resource, trace) for span in scope.spans]


def _read(span: Any, resource: dict[str, Any], trace: Any) -> Received:
    return Received(
        name=span.name,
        kind=trace.Span.SpanKind.Name(span.kind),
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        began=span.start_time_unix_nano,
        ended=span.end_time_unix_nano,
        failed=span.status.code == trace.Status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
        resource=resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextlib.contextmanager
def collecting(mood: Mood = "takes") -> Iterator[Collector]:
    """A collector, for as long as the block lasts."""
    collector, lock = Collector(mood=mood), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            with lock:
                collector.calls += 1
                collector.headers = {name.lower(): value for name, value in self.headers.items()}
                collector.raw += body
                if self.path != "/v1/traces":
                    self.send_error(404)
                    return
                if collector.mood == "takes":
                    collector.take(body)
            if collector.mood == "is silent":
                collector.over.wait(60)
                return
            if collector.mood == "never ends":
                self.send_response(200)
                self.end_headers()
                for _ in range(50):
                    self.wfile.write(bytes(1_000_000))
                collector.endless = True
                return
            self.send_response({"takes": 200, "redirects": 307}.get(collector.mood, 500))
            if collector.mood == "redirects":
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")  # an empty message is no bytes
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quietly."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Who hangs up has its reasons."""

    with Server(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            collector.over.set()
            server.shutdown()
            thread.join(20)
