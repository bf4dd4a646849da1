"""A line of the log for every request."""

import logging
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support import fake_bundle, grey, serving_here

from viewfinder.api.guards.observe import Finished
from viewfinder.api.request_log import RequestLog, shown_path
from viewfinder.settings import LogSettings, Settings
from viewfinder.telemetry.lines import LATER
from viewfinder.types import Principal


def scope(path: str = "/v1/models", method: str = "GET", **state: Any) -> dict[str, Any]:
    """A request, as ASGI has it."""
    return {"type": "http", "method": method, "path": path, "state": state}


def line_of(
    caplog: pytest.LogCaptureFixture, of: dict[str, Any], endpoint: str, status: int
) -> logging.LogRecord:
    """The line of a request that is over."""
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    RequestLog().finished(Finished(of, endpoint, status, 0.0123456))
    LATER.settle()
    (record,) = caplog.records
    return record


@pytest.mark.parametrize(
    ("endpoint", "status", "level"),
    [
        ("/v1/classify", 200, "INFO"),
        ("/v1/classify", 422, "INFO"),
        ("/v1/classify", 499, "INFO"),
        ("/v1/classify", 503, "WARNING"),
        ("unmatched", 404, "INFO"),
        ("/health", 200, "DEBUG"),
        ("/health/ready", 503, "DEBUG"),
        ("/metrics", 200, "DEBUG"),
        ("/static/{path:path}", 200, "DEBUG"),
    ],
)
def test_trouble_is_louder_and_routine_is_quieter(
    caplog: pytest.LogCaptureFixture, endpoint: str, status: int, level: str
) -> None:
    assert line_of(caplog, scope(), endpoint, status).levelname == level


def test_a_line_says_who_what_and_how_long(caplog: pytest.LogCaptureFixture) -> None:
    asked = scope("/v1/results/1", problem="forbidden", principal=Principal("key:7", frozenset()))
    record = line_of(caplog, asked, "/v1/results/{result_id}", 403)
    assert record.getMessage() == "GET /v1/results/{result_id} 403"
    said = vars(record)
    assert said["path"] == "/v1/results/1"
    assert (said["status"], said["total_ms"]) == (403, 12.35)
    assert (said["key_id"], said["error"]) == ("key:7", "forbidden")


def test_a_method_that_a_client_made_up_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    record = line_of(caplog, scope(method="PROPFIND"), "unmatched", 405)
    assert record.getMessage() == "OTHER unmatched 405"


def test_a_path_is_shown_as_it_was_sent_without_the_query_and_in_part() -> None:
    raw = b"/a%0a\x1b[0m\xff/" + b"b" * 500 + b"?secret"
    shown = shown_path({**scope("/a\n"), "raw_path": raw})
    assert shown.startswith("/a%0a\\x1b[0m")
    assert shown.isprintable()
    assert len(shown) == 200
    assert shown_path(scope("/a\nb?c")) == "/a\\nb"


def _asked(settings: Settings, caplog: pytest.LogCaptureFixture) -> dict[str, logging.LogRecord]:
    caplog.set_level(logging.INFO)
    with serving_here(settings) as server:
        _ask(server.url)
    LATER.settle()
    return {
        record.getMessage(): record
        for record in caplog.records
        if record.name == "viewfinder.api.request_log"
    }


def _ask(url: str) -> None:
    kind = {"Content-Type": "image/png"}
    httpx2.post(f"{url}/v1/classify", content=grey(0), headers=kind, trust_env=False)
    files = [("files", grey(0)), ("files", b"no"), ("files", grey(9))]
    httpx2.post(f"{url}/v1/batch-classify", files=files, trust_env=False)
    httpx2.post(f"{url}/classify", content=b"no", headers=kind, trust_env=False)


def test_answers_say_which_model_and_batches_how_many(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake_bundle(store)
    lines = _asked(Settings(model_store=store, default_model="fake", threads=1), caplog)
    photo = vars(lines["POST /v1/classify 200"])
    assert (photo["model"], photo["cached"]) == ("fake@1/only", False)
    assert all(photo[name] >= 0 for name in ("decode_ms", "queue_ms", "infer_ms"))
    assert photo["total_ms"] >= photo["decode_ms"] + photo["infer_ms"]
    batch = vars(lines["POST /v1/batch-classify 200"])
    assert (batch["images"], batch["failed"]) == (3, 1)
    assert "model" not in batch
    refused = vars(lines["POST /classify 415"])
    assert refused["error"] == "unsupported_media_type"


def test_without_lines_for_requests_there_are_none(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake_bundle(store)
    settings = Settings(
        model_store=store, default_model="fake", threads=1, log=LogSettings(requests=False)
    )
    assert _asked(settings, caplog) == {}
