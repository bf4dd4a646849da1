"""`GET /v1/results/{id}/image?side=` while the processor is busy."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.support import (
    Engine,
    LocalServer,
    asking,
    eventually,
    fake_bundle,
    grey,
    held,
    read_answer,
    serving_here,
)

from viewfinder.settings import CacheSettings, Settings


@pytest.fixture
def server(tmp_path: Path, engine: Engine) -> Iterator[LocalServer]:
    """One with one thread, that stores photos."""
    fake_bundle(tmp_path / "models")
    settings = Settings(
        home=tmp_path,
        default_model="fake",
        record="images",
        threads=1,
        cache=CacheSettings(enabled=False),
    )
    with serving_here(settings) as server:
        engine.forget()
        yield server


@pytest.fixture
def result(server: LocalServer, engine: Engine) -> str:
    """The path of a result whose image is stored."""
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as http:
        answer = http.post("/v1/classify", files={"file": grey(10)}).json()
        path = f"/v1/results/{answer['id']}"
        eventually(lambda: http.get(path).json()["image"]["stored"])
    engine.forget()
    return path


def _asked(result: str, *headers: str) -> bytes:
    lines = [f"GET {result}/image?side=32 HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def test_past_the_deadline_of_who_asks_there_is_no_thumbnail(
    server: LocalServer, engine: Engine, result: str
) -> None:
    with asking(server, _asked(result)) as connection:
        assert read_answer(connection).status == 200
    with asking(server) as connection:
        with held(server, engine):
            sent = time.monotonic()
            connection.sendall(_asked(result, "X-Request-Timeout-Ms: 2000"))
            eventually(lambda: server.waiting)
            eventually(lambda: time.monotonic() > sent + 2.5)
        answer = read_answer(connection)
    assert (answer.status, json.loads(answer.body)["code"]) == (504, "deadline_exceeded")


def test_a_deadline_out_of_its_range_is_refused(server: LocalServer, result: str) -> None:
    with asking(server, _asked(result, "X-Request-Timeout-Ms: soon")) as connection:
        answer = read_answer(connection)
    assert (answer.status, json.loads(answer.body)["code"]) == (422, "invalid_parameter")


def test_for_a_client_who_has_gone_no_thumbnail_is_made(
    server: LocalServer, engine: Engine, result: str
) -> None:
    with held(server, engine):
        with asking(server, _asked(result)):
            eventually(lambda: server.waiting)
        eventually(lambda: not server.waiting)
