"""Lines of the log, for machines and for people."""

import importlib.util
import io
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from tests.support import encode, eventually, fake_bundle, grey, needs, serving
from tests.telemetry.test_tracing import TRACE, in_memory, parented, tracing_to

from viewfinder.settings import LogSettings
from viewfinder.telemetry import tracing
from viewfinder.telemetry.logs import configure_logging, formatter, is_json
from viewfinder.telemetry.request import REQUEST_ID

MARKER = "Xq7-nobody-must-see-this"
HOSTILE = "a\nb\r\x1b[31m\x9b\u2028\u202e"


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def lines(
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., str]:
    """Log something in a form, and get what was written."""
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    logger = logging.getLogger("viewfinder.test")
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(logger, "level", logging.DEBUG)

    def write(
        form: str, say: Callable[[logging.Logger], None], stream: io.StringIO | None = None
    ) -> str:
        out = stream or io.StringIO()
        handler = logging.StreamHandler(out)
        handler.setFormatter(formatter(LogSettings.model_validate({"format": form}), out))
        logger.addHandler(handler)
        say(logger)
        logger.removeHandler(handler)
        return out.getvalue()

    return write


def fail(logger: logging.Logger, text: str) -> None:
    """Log an exception that says so."""

    def really() -> None:
        raise ValueError(text)

    try:
        really()
    except ValueError:
        logger.exception("it failed")


def test_a_line_for_machines_is_one_object(lines: Callable[..., str]) -> None:
    written = lines("json", lambda log: log.warning("%d of %s", 2, "x", extra={"status": 503}))
    assert written.count("\n") == 1
    line = json.loads(written)
    assert list(line) == ["timestamp", "level", "event", "logger", "status"]
    assert line["timestamp"].endswith("Z")
    assert len(line["timestamp"]) == len("2026-11-23T13:43:12.829Z")
    assert (line["level"], line["event"]) == ("warning", "2 of x")
    assert (line["logger"], line["status"]) == ("viewfinder.test", 503)


def test_a_line_for_people_looks_as_it_always_did(lines: Callable[..., str]) -> None:
    written = lines("text", lambda log: log.info("ready: %s", "fake", extra={"n": 1, "s": "a b"}))
    time, rest = written.split(" ", 1)
    assert [len(part) for part in time.split(":")] == [2, 2, 2]
    assert rest == "INFO ready: fake n=1 s='a b'\n"


def test_an_exception_is_one_field_or_stands_behind_its_line(lines: Callable[..., str]) -> None:
    line = json.loads(lines("json", lambda log: fail(log, "x\ny")))
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: x\ny")
    first, *rest = lines("text", lambda log: fail(log, "x\n12:00:00 INFO forged")).splitlines()
    assert first.endswith("ERROR it failed")
    assert rest[-1] == "  12:00:00 INFO forged"
    assert all(one.startswith("  ") for one in rest)


def test_nothing_that_is_logged_ends_its_line_or_moves_a_cursor(lines: Callable[..., str]) -> None:
    def say(log: logging.Logger) -> None:
        log.info("got %s", HOSTILE, extra={"path": HOSTILE})

    for form in ("json", "text"):
        written = lines(form, say)
        assert written.endswith("\n")
        assert written[:-1].isprintable()
    assert json.loads(lines("json", say))["path"] == HOSTILE


def test_an_address_is_logged_without_its_password_and_its_query(
    lines: Callable[..., str],
) -> None:
    address = f"postgresql://user:{MARKER}@{MARKER}@host/name"
    signed = f"https://bucket.example/key?X-Signature={MARKER}&b=c"

    def say(log: logging.Logger) -> None:
        log.info("%s and %s", address, signed, extra={"where": address})
        fail(log, f"{address} {signed}")

    for form in ("json", "text"):
        written = lines(form, say)
        assert MARKER not in written
        assert "postgresql://user:***@host/name" in written
        assert "https://bucket.example/key?***" in written


@pytest.mark.parametrize(
    ("form", "terminal", "json_lines"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("text", False, False),
        ("json", True, True),
    ],
)
def test_machines_get_json_unless_it_is_said(
    form: str, *, terminal: bool, json_lines: bool
) -> None:
    settings = LogSettings.model_validate({"format": form})
    assert is_json(settings, Terminal() if terminal else io.StringIO()) is json_lines


def test_colour_is_for_terminals_alone_and_not_for_all(
    lines: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def say(log: logging.Logger) -> None:
        log.error("no", extra={"a": 1})

    assert "\x1b[" in lines("text", say, Terminal())
    assert "\x1b[" not in lines("text", say)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in lines("text", say, Terminal())


def test_a_line_names_its_request_and_no_other_has_its_name(lines: Callable[..., str]) -> None:
    token = REQUEST_ID.set("r-1")
    inside = json.loads(lines("json", lambda log: log.info("a")))
    REQUEST_ID.reset(token)
    outside = json.loads(lines("json", lambda log: log.info("b")))
    assert inside["request_id"] == "r-1"
    assert "request_id" not in outside


@pytest.mark.otel
def test_a_line_names_its_trace(lines: Callable[..., str]) -> None:
    tracer = tracing_to(in_memory())
    with tracing.within(tracer.begin("a", {}, "server", parented())):
        line = json.loads(lines("json", lambda log: log.info("a")))
    assert line["trace_id"] == TRACE


def test_libraries_tell_no_details_whatever_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("", "viewfinder", "uvicorn", "uvicorn.error", "asyncio", "alembic", "httpx2")
    before = {name: logging.getLogger(name).level for name in (*names, "urllib3")}
    monkeypatch.setattr(logging.root, "handlers", [])
    try:
        configure_logging(LogSettings(level="debug"))
        configure_logging(LogSettings(level="debug"))
        assert len(logging.root.handlers) == 1
        assert logging.getLogger("viewfinder.api").isEnabledFor(logging.DEBUG)
        for name in ("aiosqlite", "httpcore2", "sqlalchemy.engine", "asyncio", "some.plugin"):
            assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
        assert logging.getLogger("some.plugin").isEnabledFor(logging.INFO)
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def test_whatever_is_sent_no_secret_is_in_the_log(tmp_path: Path) -> None:
    needs(
        "the extra postgres (make test EXTRAS=postgres)",
        met=importlib.util.find_spec("psycopg") is not None,
    )
    """Markers in keys, in the query, in a photo, its name, and in the database's address."""
    fake_bundle(tmp_path / "models")
    exif = Image.Exif()
    exif[0x010E] = MARKER
    marked = encode(Image.new("RGB", (32, 32)), "JPEG", exif=exif, comment=MARKER.encode())
    given: dict[str, Any] = {
        "LOG__LEVEL": "debug",
        "LOG__FORMAT": "json",
        "DATABASE__URL": f"postgresql://viewfinder:{MARKER}@127.0.0.1:9/{'x' * 8}",
        "DEFAULT_MODEL": "fake",
    }
    with serving(tmp_path, "--model", "fake", **given) as server:
        headers = {
            "Authorization": f"Bearer {MARKER}",
            "X-API-Key": MARKER,
            "X-Request-ID": f"no id: {MARKER}",
            "Idempotency-Key": MARKER,
        }
        with httpx2.Client(base_url=server.url, headers=headers, trust_env=False) as http:
            kind = {"Content-Type": "image/jpeg"}
            for body in (marked, marked[: len(marked) // 2], grey(0) + MARKER.encode()):
                http.post(f"/v1/classify?x={MARKER}", content=body, headers=kind)
            http.post("/v1/classify", files={"file": (MARKER, marked)})
            http.post("/v1/batch-classify", files={"files": (MARKER, b"no")})
            http.post("/v1/classify", json={"url": f"http://u:{MARKER}@h/?k={MARKER}"})
            assert http.get(f"/v1/results?cursor={MARKER}").status_code == 422
            assert http.get("/v1/results").status_code == 503
            http.get("/%0a%1b[31m" + "a" * 1000)
            http.get("/health")
        eventually(lambda: any("cannot be used" in line for line in server.lines))
        assert server.stop() == 0
        eventually(lambda: any('"stopped"' in line for line in server.lines))
        lines = list(server.lines)
    assert MARKER not in "\n".join(lines)
    read = [json.loads(line) for line in lines]
    assert read[0]["event"] == f"Viewfinder on {server.url}"
    requests = {line["event"]: line for line in read if "method" in line}
    odd = requests["GET unmatched 404"]
    assert odd["path"].startswith("/%0a%1b")
    assert len(odd["path"]) == 200
    assert requests["GET /health 200"]["level"] == "debug"
    assert requests["GET /v1/results 503"]["level"] == "warning"
    of_it = [line for line in read if line.get("request_id") == odd["request_id"]]
    assert of_it == [odd]
    failed = requests["GET /v1/results 503"]["request_id"]
    (why,) = [one for one in read if one.get("request_id") == failed and "method" not in one]
    assert "cannot be used" in why["event"]
