"""`GET /metrics` of a real server: what it counts, and whose words are never a label."""

import http.client
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support import (
    Engine,
    LocalServer,
    Server,
    asking,
    eventually,
    fake_bundle,
    grey,
    held,
    read_answer,
    request_of,
    serving,
    serving_here,
    serving_one,
    workers_of,
)

from viewfinder.settings import CacheSettings, MetricsSettings, Settings

_MARKER = "zq7marker"


class Scrape:
    """What a server shows at one moment."""

    def __init__(self, server: LocalServer | Server, **headers: str) -> None:
        answer = httpx2.get(f"{server.url}/metrics", headers=headers, trust_env=False, timeout=30)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        self.text = answer.text
        self._samples = [
            sample
            for family in text_string_to_metric_families(self.text)
            for sample in family.samples
        ]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of all series of a name with these labels."""
        return sum(
            sample.value
            for sample in self._samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str) -> list[dict[str, str]]:
        """Of all series of a name."""
        return [sample.labels for sample in self._samples if sample.name == name]


@contextmanager
def _serving(home: Path, **options: Any) -> Iterator[LocalServer]:
    if not (home / "models").exists():
        fake_bundle(home / "models")
    with serving_here(
        Settings(home=home, default_model="fake", models=("fake",), threads=1, **options)
    ) as server:
        yield server


def _post(
    server: LocalServer | Server, data: bytes, path: str = "/v1/classify", **query: str
) -> httpx2.Response:
    headers = {"Content-Type": "image/png"}
    url = f"{server.url}{path}"
    return httpx2.post(
        url, content=data, headers=headers, params=query, trust_env=False, timeout=30
    )


def test_requests_are_counted_by_method_route_and_status(tmp_path: Path) -> None:
    with _serving(tmp_path) as server:
        assert _post(server, grey(10)).status_code == 200
        assert _post(server, grey(20)).status_code == 200
        assert _post(server, b"no image").status_code == 415
        httpx2.get(f"{server.url}/v1/models/fake", trust_env=False)
        httpx2.get(f"{server.url}/v1/models/none", trust_env=False)
        found = Scrape(server)
        assert Scrape(server)("requests_total", endpoint="/metrics", status="200") == 1
    classify = {"method": "POST", "endpoint": "/v1/classify"}
    assert found("requests_total", **classify, status="200") == 2
    assert found("requests_total", **classify, status="415") == 1
    assert found("requests_total", endpoint="/v1/models/{name}", status="200") == 1
    assert found("requests_total", endpoint="/v1/models/{name}", status="404") == 1
    assert found("request_latency_seconds_count", **classify, status="200") == 2
    assert 0 < found("request_latency_seconds_sum", **classify, status="200") < 60
    assert found("request_latency_seconds_bucket", **classify, status="200", le="+Inf") == 2
    assert found("viewfinder_refusals_total", reason="unsupported_media_type") == 1
    assert found("viewfinder_refusals_total", reason="model_not_found") == 1


def test_no_word_of_a_client_is_a_label(tmp_path: Path) -> None:
    with _serving(tmp_path) as server:
        for path in (f"/{_MARKER}", f"/v1/jobs/{_MARKER}", f"/v1/models/{_MARKER}/labels"):
            httpx2.get(f"{server.url}{path}?{_MARKER}={_MARKER}", trust_env=False)
        for name in ("X-Request-ID", "X-API-Key", "User-Agent", "traceparent"):
            headers = {name: _MARKER, "Content-Type": f"image/{_MARKER}"}
            httpx2.post(
                f"{server.url}/v1/classify?model={_MARKER}",
                content=grey(1),
                headers=headers,
                trust_env=False,
            )
        # Python's client sends any method; the parser knows some that no route has.
        for method in ("PURGE", "REPORT", _MARKER.upper()):
            connection = http.client.HTTPConnection(*server.address, timeout=30)
            connection.request(method, f"/v1/{_MARKER}")
            connection.getresponse().read()
            connection.close()
        found = Scrape(server)
    assert _MARKER not in found.text.lower()
    methods = {labels["method"] for labels in found.labels("requests_total")}
    assert methods <= {"GET", "POST", "OTHER"}
    assert found("requests_total", method="OTHER", endpoint="unmatched") == 3
    assert found("requests_total", endpoint="/v1/models/{name}/labels", status="404") == 1


def test_answers_are_counted_by_model_and_timed(tmp_path: Path) -> None:
    with _serving(tmp_path) as server:
        for brightness in (10, 10, 20):
            _post(server, grey(brightness))
        found = Scrape(server)
    model = {"model": "fake", "version": "1", "variant": "only"}
    assert found("viewfinder_predictions_total", **model) == 3
    assert found("viewfinder_confidence_count", **model) == 3
    assert found("viewfinder_inference_seconds_count", **model) == 2
    assert found("viewfinder_decode_seconds_count") == 2
    assert found("viewfinder_queue_seconds_count") == 2
    assert found("viewfinder_cache_hits_total") == 1
    assert found("viewfinder_cache_misses_total") == 2
    assert found("viewfinder_image_bytes_count") == 3
    assert found("viewfinder_image_bytes_sum") == 2 * len(grey(10)) + len(grey(20))
    assert found("viewfinder_batch_size_count", device="cpu") >= 2
    assert found("viewfinder_compute_busy_seconds_total", device="cpu") > 0
    assert found("viewfinder_model_loads_total", model="fake", outcome="ready") == 1
    assert found("viewfinder_model_loaded", **model) == 1
    assert found("viewfinder_compute_threads", device="cpu") == 1
    assert found("viewfinder_queue_capacity", device="cpu") == 256
    assert found("viewfinder_part_ready", part="model") == 1
    assert found("viewfinder_workers") == 1
    assert found("process_resident_memory_bytes", pid=str(os.getpid())) > 1e6


def test_what_waits_and_what_is_refused_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(monkeypatch)
    with (
        serving_one(tmp_path, engine, queue_size=1) as server,
        held(server, engine),
        asking(server, request_of(grey(40))) as waiting,
    ):
        eventually(lambda: server.waiting == 1)
        with asking(server, request_of(grey(50))) as hasty:
            assert read_answer(hasty).status == 503
        eventually(lambda: Scrape(server)("viewfinder_requests_in_progress") >= 2)
        found = Scrape(server)
        assert found("viewfinder_queue_depth", device="cpu", lane="interactive") == 1
        assert found("viewfinder_refusals_total", reason="overloaded") == 1
        assert found("viewfinder_connections") >= 2
        engine.open.set()
        assert read_answer(waiting).status == 200


def test_an_image_of_a_batch_that_is_refused_counts(tmp_path: Path) -> None:
    forms = [("files", ("a.png", grey(1))), ("files", ("b.png", b"none"))]
    with _serving(tmp_path) as server:
        answer = httpx2.post(f"{server.url}/v1/batch-classify", files=forms, trust_env=False)
        assert answer.json()["summary"] == {"total": 2, "succeeded": 1, "failed": 1}
        found = Scrape(server)
    assert found("viewfinder_refusals_total", reason="unsupported_media_type") == 1
    assert found("viewfinder_predictions_total") == 1


def test_who_leaves_and_who_speaks_no_http_counts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(monkeypatch)
    with serving_one(tmp_path, engine) as server:
        with held(server, engine):
            with asking(server, request_of(grey(40))):
                eventually(lambda: server.waiting == 1)
            eventually(lambda: Scrape(server)("requests_total", status="499") == 1)
        with socket.create_connection(server.address, timeout=30) as connection:
            connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 400")
        found = Scrape(server)
    labels = {"method": "OTHER", "endpoint": "unmatched", "status": "400"}
    assert found("requests_total", **labels) == 1
    assert found("viewfinder_refusals_total", reason="malformed_request") == 1
    assert found("requests_total", status="499", endpoint="/v1/classify") == 1


_NO_CHUNK = request_of(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"zz\r\n"


def test_a_body_that_is_refused_counts_as_what_was_answered(tmp_path: Path) -> None:
    with _serving(tmp_path) as server:
        with asking(server, _NO_CHUNK) as connection:
            assert read_answer(connection).status == 400
        eventually(lambda: Scrape(server)("requests_total", endpoint="/v1/classify") == 1)
        found = Scrape(server)
    assert found("requests_total", endpoint="/v1/classify", status="400") == 1
    assert found("viewfinder_refusals_total", reason="malformed_request") == 1


def test_a_request_that_was_sent_ahead_and_refused_counts_too(tmp_path: Path) -> None:
    with _serving(tmp_path) as server:
        with asking(server, request_of(grey(1)) + _NO_CHUNK) as connection:
            answers = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answers.count(b"HTTP/1.1 200") == answers.count(b"HTTP/1.1 400") == 1
        found = Scrape(server)
    assert found("requests_total", status="400") == 1
    assert found("requests_total", status="200", endpoint="/v1/classify") == 1
    assert found("viewfinder_refusals_total", reason="malformed_request") == 1


def test_records_are_counted(tmp_path: Path) -> None:
    with _serving(tmp_path) as server:
        _post(server, grey(1))
        eventually(lambda: Scrape(server)("viewfinder_results_written_total") == 1)
        found = Scrape(server)
        assert found("viewfinder_results_recorded_total") == 1
        assert found("viewfinder_results_waiting") == 0
        assert found("viewfinder_results_lost_total") == 0


def test_a_shadow_that_disagrees_shows(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    fake_bundle(tmp_path / "models", version=2, classes=2)
    with _serving(tmp_path, cache=CacheSettings(enabled=False)) as server:
        traffic = {"split": [{"version": 1, "percent": 100}], "shadow": 2}
        put = httpx2.put(
            f"{server.url}/v1/models/fake/traffic", json=traffic, trust_env=False, timeout=30
        )
        assert put.status_code == 200, put.text
        for brightness in (5, 250):  # the first step of both is the same; the last is not
            _post(server, grey(brightness))
        shown = {"model": "fake", "version": "2"}
        name = "viewfinder_shadow_comparisons_total"
        eventually(lambda: Scrape(server)(name, **shown, outcome="disagreed") == 1)
        assert Scrape(server)(name, **shown, outcome="agreed") == 1


def test_switched_off_there_is_nothing_to_see(tmp_path: Path) -> None:
    with _serving(tmp_path, metrics=MetricsSettings(enabled=False)) as server:
        assert _post(server, grey(1)).status_code == 200
        assert httpx2.get(f"{server.url}/metrics", trust_env=False).status_code == 404


def test_workers_are_counted_together_and_no_count_dies_with_one(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with serving(
        tmp_path, "--workers", "2", "--threads", "1", DEFAULT_MODEL="fake", CACHE__ENABLED="false"
    ) as server:
        eventually(lambda: Scrape(server)("viewfinder_workers") == 2)
        for brightness in range(12):
            assert _post(server, grey(brightness)).status_code == 200
        answered = {"endpoint": "/v1/classify", "status": "200"}
        before = Scrape(server)
        assert before("requests_total", **answered) == 12
        assert before("viewfinder_predictions_total") == 12
        assert len(before.labels("process_cpu_seconds_total")) == 2

        os.kill(workers_of(server)[0], signal.SIGKILL)
        eventually(lambda: len(workers_of(server)) == 2 and _is_whole(server))
        after = Scrape(server)
        assert after("requests_total", **answered) == 12
        assert after("viewfinder_predictions_total") == 12
        assert after("viewfinder_model_loads_total", outcome="ready") == 3
        assert after("viewfinder_queue_capacity") == 512
        assert _post(server, grey(99)).status_code == 200
        assert Scrape(server)("requests_total", **answered) == 13


def _is_whole(server: Server) -> bool:
    found = Scrape(server)
    return found("viewfinder_workers") == 2 and found("viewfinder_model_loaded") == 2


def test_where_keys_are_asked_for_metrics_need_one_that_may_read(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    key = "k" * 32
    (tmp_path / "key").write_text(key)
    with serving(
        tmp_path,
        DEFAULT_MODEL="fake",
        AUTH__ENABLED="true",
        AUTH__BOOTSTRAP_KEY_FILE=tmp_path / "key",
    ) as server:
        assert httpx2.get(f"{server.url}/metrics", trust_env=False).status_code == 401
        found = Scrape(server, authorization=f"Bearer {key}")
    assert found("requests_total", endpoint="/metrics", status="401") == 1
    assert found("viewfinder_refusals_total", reason="unauthenticated") == 1
