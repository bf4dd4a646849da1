"""Traces, as a collector gets them from a real server."""

import asyncio
import contextlib
import importlib
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.jobs.receiver import receiving
from tests.net.hosts import answer, hosting, redirect
from tests.support import (
    Engine,
    LocalServer,
    asking,
    environment,
    eventually,
    fake_bundle,
    free_port,
    grey,
    request_of,
    run_command,
    serving,
    serving_here,
    workers_of,
)
from tests.telemetry.collector import Collector, Mood, collecting

from viewfinder.errors import MissingExtraError, SettingsError
from viewfinder.settings import (
    FetchSettings,
    JobSettings,
    Settings,
    TracingSettings,
    WebhookSettings,
)
from viewfinder.telemetry import tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
MARKER = "Xq7-nobody-must-see-this"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@contextlib.contextmanager
def traced(
    store: Path, endpoint: str, *, sample: float = 1.0, **given: Any
) -> Iterator[LocalServer]:
    """A server that traces; when the block has ended, its collector has everything."""
    if not list(store.iterdir()):
        fake_bundle(store)
    settings = Settings(
        home=store.parent,
        model_store=store,
        default_model="fake",
        threads=1,
        tracing=TracingSettings(endpoint=endpoint, sample=sample),
        **given,
    )
    with serving_here(settings) as server:
        yield server


def ask(server: LocalServer, photo: bytes, *, query: str = "", **headers: str) -> httpx2.Response:
    """Have a photo classified."""
    return httpx2.post(
        f"{server.url}/v1/classify{query}",
        content=photo,
        headers={"Content-Type": "image/png", **headers},
        trust_env=False,
    )


def in_memory() -> Any:
    """An exporter that keeps spans to be looked at."""
    module = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    return module.InMemorySpanExporter()


def tracing_to(exporter: Any, **clocks: Any) -> Any:
    """What traces everything, to there."""
    module = importlib.import_module("viewfinder.telemetry.otel")
    return module.OpenTelemetryTracer(exporter, sample=1.0, **clocks)


def parented(flags: str = "01") -> dict[str, str]:
    """The header of a caller who traces."""
    return {"traceparent": f"00-{TRACE}-{PARENT}-{flags}"}


@pytest.mark.otel
def test_a_request_is_a_tree_of_what_was_done_for_it(store: Path, collector: Collector) -> None:
    with traced(store, collector.url) as server:
        answered = ask(server, grey(0), query=f"?top_k=1&note={MARKER}", **parented())
        assert answered.status_code == 200
    request = collector.one("POST /v1/classify")
    assert (request.trace, request.parent, request.kind) == (TRACE, PARENT, "SPAN_KIND_SERVER")
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/v1/classify",
        "http.response.status_code": 200,
        "url.path": "/v1/classify",
        "url.scheme": "http",
        "viewfinder.request_id": answered.headers["x-request-id"],
        "viewfinder.model": "fake",
        "viewfinder.version": 1,
        "viewfinder.variant": "only",
        "viewfinder.cached": False,
    }
    assert not request.failed
    parts = collector.children_of(request)
    assert sorted(part.name for part in parts) == ["cache", "decode", "inference", "queue"]
    assert all(part.is_inside(request) for part in parts)
    queue, decode, inference = (collector.one(name) for name in ("queue", "decode", "inference"))
    assert queue.ended == decode.began <= decode.ended <= inference.began
    assert inference.attributes == {
        "viewfinder.model": "fake",
        "viewfinder.version": 1,
        "viewfinder.variant": "only",
    }
    assert collector.one("cache").attributes["viewfinder.cache.hit"] is False
    assert request.resource["service.name"] == "viewfinder"
    assert request.resource["service.version"]
    assert collector.headers["content-type"] == "application/x-protobuf"


@pytest.mark.otel
def test_a_trace_tells_how_much_and_never_what(store: Path, collector: Collector) -> None:
    with traced(store, collector.url) as server:
        url = f"{server.url}/v1/classify?x={MARKER}"
        headers = {"X-API-Key": MARKER, "Authorization": f"Bearer {MARKER}", "Cookie": MARKER}
        for body in (grey(0), b"\x89PNG\r\n\x1a\n" + MARKER.encode(), b""):
            kind = {"Content-Type": "image/png"}
            httpx2.post(url, content=body, headers=headers | kind, trust_env=False)
        httpx2.post(url, json={"image": MARKER}, headers=headers, trust_env=False)
        httpx2.request("PROPFIND", f"{server.url}/v1/models/{MARKER}", trust_env=False)
        httpx2.get(f"{server.url}/{'a' * 1000}%0a{MARKER}", trust_env=False)
        assert httpx2.get(f"{server.url}/health/ready", trust_env=False).status_code == 200
    assert len([span for span in collector.spans if span.kind == "SPAN_KIND_SERVER"]) == 6
    (path,) = {span.attributes["url.path"] for span in collector.named("HTTP /v1/models/{name}")}
    assert path == f"/v1/models/{MARKER}"  # a path is said; nothing else is
    assert bytes(collector.raw).count(MARKER.encode()) == 1
    (unmatched,) = collector.named("GET")
    assert len(unmatched.attributes["url.path"]) == 200
    assert unmatched.attributes["error.type"] == "not_found"


@pytest.mark.otel
@pytest.mark.parametrize(
    "given",
    [
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        "\x00" * 55,
        "x" * 2000,
    ],
)
def test_a_broken_header_begins_a_trace(given: str) -> None:
    exporter = in_memory()
    tracer = tracing_to(exporter)
    begun = tracer.begin("a", {}, "server", {"traceparent": given})
    assert begun.trace_id not in {TRACE, "0" * 32}
    begun.end()
    asyncio.run(tracer.close())
    (finished,) = exporter.get_finished_spans()
    assert finished.parent is None


@pytest.mark.otel
def test_who_asks_decides_what_is_kept(store: Path, collector: Collector) -> None:
    with traced(store, collector.url, sample=0) as server:
        assert ask(server, grey(0)).status_code == 200
        assert ask(server, grey(1), **parented("00")).status_code == 200
        assert ask(server, grey(2), **parented("01")).status_code == 200
    assert {span.trace for span in collector.spans} == {TRACE}
    assert len(collector.named("POST /v1/classify")) == 1
    with traced(store, collector.url, sample=1) as server:
        assert ask(server, grey(3), **parented("00")).status_code == 200
    assert len(collector.named("POST /v1/classify")) == 1


class _Lines(logging.Handler):
    """Keeps what is logged, and in which trace and request."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, str | None]] = []

    def emit(self, record: logging.LogRecord) -> None:
        span = tracing.current()
        self.said.append((record.getMessage(), None if span is None else span.trace_id))


@pytest.mark.otel
def test_what_is_asked_next_on_a_connection_is_no_part_of_what_was_before(
    store: Path, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "viewfinder")
    lines = _Lines()
    logging.getLogger("viewfinder").addHandler(lines)
    try:
        with traced(store, collector.url) as server:
            first = request_of(grey(0), f"traceparent: 00-{TRACE}-{PARENT}-01")
            last = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            with asking(server, first + last) as connection:
                while connection.recv(65536):
                    pass
            eventually(lambda: len(lines.said) >= 2 and lines.said[-1][0].startswith("GET"))
    finally:
        logging.getLogger("viewfinder").removeHandler(lines)
    requests = [line for line in lines.said if line[0].endswith(" 200")]
    assert requests == [("POST /v1/classify 200", TRACE), ("GET /health 200", None)]


@pytest.mark.otel
def test_a_batch_has_a_part_for_each_image(store: Path, collector: Collector) -> None:
    files = [("files", grey(0)), ("files", b"no photo"), ("files", grey(255))]
    with traced(store, collector.url) as server:
        url = f"{server.url}/v1/batch-classify"
        assert httpx2.post(url, files=files, trust_env=False).status_code == 200
    request = collector.one("POST /v1/batch-classify")
    assert request.attributes["viewfinder.images"] == 3
    images = {span.attributes["viewfinder.image"]: span for span in collector.named("image")}
    assert {span.parent for span in images.values()} == {request.id}
    assert images[1].failed
    assert images[1].attributes["error.type"] == "unsupported_media_type"
    for number in (0, 2):
        inside = collector.children_of(images[number])
        assert {"queue", "decode", "inference"} <= {span.name for span in inside}


@pytest.mark.otel
def test_a_failure_of_the_server_is_an_error(
    store: Path, collector: Collector, engine: Engine
) -> None:
    with traced(store, collector.url) as server:
        engine.failures[77] = ValueError(MARKER)
        assert ask(server, grey(77)).status_code == 500
    request = collector.one("POST /v1/classify")
    assert request.failed
    assert request.attributes["error.type"] == "internal_error"
    assert MARKER.encode() not in collector.raw


@pytest.mark.otel
def test_an_image_by_url_goes_on_with_the_trace(store: Path, collector: Collector) -> None:
    with hosting({"/there?k=" + MARKER: answer(grey(0))}) as host:
        host.answers["/"] = redirect("/there?k=" + MARKER)
        fetch = FetchSettings(enabled=True, allow_private=True, ports=(host.port,))
        with traced(store, collector.url, fetch=fetch) as server:
            body = {"url": host.url()}
            given = {**parented(), "tracestate": "vendor=secret"}
            url = f"{server.url}/v1/classify"
            asked = httpx2.post(url, json=body, headers=given, trust_env=False)
            assert asked.status_code == 200
        heads = [head.lower() for head in host.heads]
    first, second = collector.children_of(collector.one("POST /v1/classify"))[:2]
    assert [span.attributes["http.response.status_code"] for span in (first, second)] == [302, 200]
    for span, head in zip((first, second), heads, strict=True):
        assert (span.name, span.kind, span.trace) == ("fetch", "SPAN_KIND_CLIENT", TRACE)
        assert span.attributes["server.address"] == "127.0.0.1"
        assert f"traceparent: 00-{TRACE}-{span.id}-01\r\n" in head
        assert "tracestate" not in head
    assert MARKER.encode() not in collector.raw


@pytest.mark.otel
def test_where_tracing_is_off_nobody_is_told_of_a_trace(store: Path) -> None:
    fake_bundle(store)
    with hosting({"/": answer(grey(0))}) as host:
        fetch = FetchSettings(enabled=True, allow_private=True, ports=(host.port,))
        settings = Settings(model_store=store, default_model="fake", threads=1, fetch=fetch)
        with serving_here(settings) as server:
            body = {"url": host.url()}
            url = f"{server.url}/v1/classify"
            asked = httpx2.post(url, json=body, headers=parented(), trust_env=False)
            assert asked.status_code == 200
        assert "traceparent" not in host.heads[0].lower()


@pytest.mark.otel
def test_work_in_the_background_has_traces_of_its_own(store: Path, collector: Collector) -> None:
    with receiving() as receiver:
        called = WebhookSettings(allow_private=True, ports=(receiver.port,))
        given: dict[str, Any] = {"webhooks": called, "jobs": JobSettings(), "record": "images"}
        with traced(store, collector.url, **given) as server:
            url = f"{server.url}/v1/jobs?callback_url={receiver.url}"
            files = [("files", ("a.png", grey(0))), ("files", ("b.png", grey(9)))]
            assert httpx2.post(url, files=files, trust_env=False).status_code == 202
            eventually(lambda: receiver.calls)
        call = receiver.calls[0]
    accepted = collector.one("POST /v1/jobs")
    images = collector.named("job image")
    assert len({span.trace for span in (*images, accepted)}) == 3
    for image in images:
        parts = {span.name for span in collector.children_of(image)}
        assert {"queue", "decode", "inference"} <= parts
    called_back = collector.one("callback")
    assert called_back.kind == "SPAN_KIND_CLIENT"
    assert called_back.attributes["http.response.status_code"] == 204
    assert call.headers["traceparent"] == f"00-{called_back.trace}-{called_back.id}-01"
    deliver = collector.one("deliver")
    assert called_back.parent == deliver.id
    records = collector.named("record")
    assert sum(span.attributes["viewfinder.rows"] for span in records) == 2
    written = [span for one in records for span in collector.children_of(one)]
    assert {span.attributes.get("db.system.name") for span in written} == {"sqlite", None}
    assert "write" in {span.attributes.get("db.operation.name") for span in written}
    puts = [span for span in written if span.attributes.get("viewfinder.blobs") == "put"]
    assert len(puts) == 2
    assert all(span.attributes["viewfinder.bytes"] > 0 for span in puts)


@pytest.mark.otel
def test_a_look_at_results_shows_the_time_of_the_database(
    store: Path, collector: Collector
) -> None:
    with traced(store, collector.url) as server:
        assert httpx2.get(f"{server.url}/v1/results", trust_env=False).status_code == 200
    (read,) = collector.children_of(collector.one("GET /v1/results"))
    assert (read.name, read.attributes["db.operation.name"]) == ("storage", "read")


@pytest.mark.otel
@pytest.mark.parametrize("mood", ["fails", "is silent", "is away"])
def test_a_collector_in_trouble_costs_nothing_but_traces(
    store: Path, mood: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with collecting("is silent" if mood == "is silent" else "fails") as collector:
        away = f"http://127.0.0.1:{free_port()}"
        with traced(store, away if mood == "is away" else collector.url) as server:
            for number in range(20):
                assert ask(server, grey(number)).status_code == 200
            began = time.monotonic()
        assert time.monotonic() - began < 20
        place = away if mood == "is away" else collector.url
    said = [record for record in caplog.records if place in record.getMessage()]
    assert len([record for record in said if "takes no traces" in record.getMessage()]) <= 1
    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


@pytest.mark.otel
def test_a_collector_that_comes_back_gets_what_comes_then() -> None:
    otel = importlib.import_module("viewfinder.telemetry.otel")
    with collecting("fails") as collector:
        tracer = otel.OpenTelemetryTracer.sending(f"{collector.url}/v1/traces", sample=1.0)
        with tracing.within(tracer.begin("lost", {}, "internal", {})):
            pass
        tracer.flush()
        collector.mood = "takes"
        with tracing.within(tracer.begin("found", {}, "internal", {})):
            pass
        asyncio.run(tracer.close())
        assert [span.name for span in collector.spans] == ["found"]


@pytest.mark.otel
def test_an_answer_that_never_ends_is_not_read(caplog: pytest.LogCaptureFixture) -> None:
    _send_one_span("never ends")
    assert "takes no traces" not in caplog.text


@pytest.mark.otel
def test_a_collector_that_is_somewhere_else_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    _send_one_span("redirects")
    assert "takes no traces; 1 spans are lost" in caplog.text


def _send_one_span(mood: Mood) -> None:
    otel = importlib.import_module("viewfinder.telemetry.otel")
    with collecting(mood) as collector:
        tracer = otel.OpenTelemetryTracer.sending(f"{collector.url}/v1/traces", sample=1.0)
        with tracing.within(tracer.begin("a", {}, "internal", {})):
            pass
        tracer.flush()
        asyncio.run(tracer.close())
        assert collector.calls == 1
        assert not collector.endless


@pytest.mark.otel
def test_a_clock_that_jumps_turns_no_span_around() -> None:
    exporter, hour = in_memory(), 3600 * 10**9
    walls, ticks = iter([10 * hour, 5 * hour, hour]), iter(range(1, 100))
    tracer = tracing_to(exporter, wall=lambda: next(walls), monotonic=lambda: float(next(ticks)))
    with tracing.within(tracer.begin("outer", {}, "server", {})), tracing.span("inner"):
        tracing.past("past", 2.25, 2.75)
        with tracing.span("innermost"):
            pass
    asyncio.run(tracer.close())
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert all(span.start_time < span.end_time for span in spans.values())
    outer = spans["outer"]
    assert outer.start_time == 10 * hour
    assert all(outer.start_time <= span.start_time for span in spans.values())
    assert all(span.end_time <= outer.end_time for span in spans.values())
    assert spans["past"].end_time - spans["past"].start_time == 5 * 10**8


@pytest.mark.otel
def test_every_worker_traces(tmp_path: Path, collector: Collector) -> None:
    fake_bundle(tmp_path / "models")
    given: dict[str, Any] = {"TRACING__ENDPOINT": collector.url, "CACHE__ENABLED": "false"}
    environ = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        running = serving(tmp_path, "--workers", "2", "--model", "fake", **given)
        with running as server:
            eventually(lambda: sum("ready: fake" in line for line in server.lines) == 2)
            workers = set(workers_of(server))

            def both_have() -> bool:
                httpx2.get(f"{server.url}/v1/models", trust_env=False)
                return {span.resource["process.pid"] for span in collector.spans} == workers

            eventually(both_have)
            assert server.stop() == 0
    assert {span.resource["deployment.environment.name"] for span in collector.spans} == {"test"}


@pytest.mark.otel
def test_nothing_but_our_own_traces_is_sent(tmp_path: Path, collector: Collector) -> None:
    fake_bundle(tmp_path / "models")
    environ = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "10",
        "OTEL_BLRP_SCHEDULE_DELAY": "10",
        "OTEL_METRIC_EXPORT_INTERVAL": "50",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        given: dict[str, Any] = {"TRACING__ENDPOINT": collector.url, "TRACING__SAMPLE": "1"}
        with serving(tmp_path, "--model", "fake", RECORD="none", **given) as server:
            url = f"{server.url}/v1/classify"
            photo: dict[str, Any] = {"content": grey(0), "headers": {"Content-Type": "image/png"}}
            assert httpx2.post(url, **photo, trust_env=False).status_code == 200
            wrong = httpx2.post(f"{url}?top_k={MARKER}", **photo, trust_env=False)
            assert wrong.status_code == 422
            assert server.stop() == 0
    assert [span.name for span in collector.spans if not span.parent] == ["POST /v1/classify"] * 2
    assert b"fastapi" not in collector.raw
    assert MARKER.encode() not in collector.raw


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "ftp://collector", "http://", "http://[", "//x", "http://h:x"]
)
def test_an_address_that_makes_no_sense_is_told_before_the_start(
    endpoint: str,
) -> None:
    with pytest.raises(SettingsError, match=r"the setting tracing\.endpoint is not valid"):
        tracing.open_tracer(TracingSettings(endpoint=endpoint))


@pytest.mark.otel
def test_a_server_with_a_wrong_address_does_not_start(tmp_path: Path) -> None:
    ended = run_command("serve", "--port", "0", home=tmp_path, TRACING__ENDPOINT="collector:4318")
    assert ended.returncode == 2
    assert ended.stderr.startswith("viewfinder: the setting tracing.endpoint is not valid")
    assert ended.stderr.count("\n") == 1


@pytest.mark.otel
@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"])
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'viewfinder\[otel\]'"):
        tracing.open_tracer(TracingSettings(endpoint="http://collector:4318"))


@pytest.mark.otel
@pytest.mark.parametrize(
    ("given", "called"),
    [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
    ],
)
def test_an_address_without_a_path_is_that_of_a_collector(given: str, called: str) -> None:
    assert tracing.collector(TracingSettings(endpoint=given)) == called


def test_who_traces_and_logs_nothing_imports_nothing_for_it(tmp_path: Path) -> None:
    code = """
import sys, viewfinder.cli.main
from viewfinder.app import create_app
from viewfinder.app.services import build_services
from viewfinder.settings import Settings
create_app(Settings())
assert build_services(Settings(), lasting=True).tracer is None
assert not [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
assert "viewfinder.telemetry.otel" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], env=environment(tmp_path), check=True, timeout=60)


def test_outside_of_a_trace_nothing_is_one() -> None:
    with tracing.span("a") as noted, tracing.trace("b"):
        noted.set("c", 1)
        tracing.past("d", 0, 1)
        assert tracing.current() is None
        assert tracing.outgoing() == {}
