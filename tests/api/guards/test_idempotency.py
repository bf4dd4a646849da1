"""A request with a key that is sent again gets the same answer, and is not carried out again."""

import asyncio
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send
from tests.support import (
    Engine,
    LocalServer,
    eventually,
    fake_bundle,
    grey,
    read_answer,
    request_of,
    serving_here,
)

from viewfinder.api.guards.idempotency import Idempotency, _Body
from viewfinder.app.services import build_services
from viewfinder.errors import DeadlineExceededError, NotReadyError, OverloadedError
from viewfinder.idempotency.store import MemoryAnswers
from viewfinder.serving import rerouting
from viewfinder.serving.manager import ModelManager
from viewfinder.settings import CacheSettings, Settings
from viewfinder.types import Principal

PNG = {"Content-Type": "image/png"}


def _settings(store: Path, **options: Any) -> Settings:
    return Settings(
        model_store=store,
        default_model="fake",
        threads=1,
        cache=CacheSettings(enabled=False),
        **options,
    )


@contextmanager
def _server(store: Path, engine: Engine, **options: Any) -> Iterator[LocalServer]:
    fake_bundle(store)
    with serving_here(_settings(store, **options)) as server:
        engine.forget()
        yield server


@pytest.fixture
def server(store: Path, engine: Engine) -> Iterator[LocalServer]:
    """A server whose engine is counted, and that caches nothing."""
    with _server(store, engine) as running:
        yield running


@pytest.fixture
def http(server: LocalServer) -> Iterator[httpx2.Client]:
    """A client of it."""
    with httpx2.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        yield client


def _post(http: httpx2.Client, key: str, body: bytes = b"", path: str = "/v1/classify") -> Any:
    return http.post(path, content=body or grey(7), headers={**PNG, "Idempotency-Key": key})


def _memory(server: LocalServer) -> MemoryAnswers:
    answers = server.services.idempotency
    assert isinstance(answers, MemoryAnswers)
    return answers


def test_the_same_answer_comes_again(http: httpx2.Client, engine: Engine) -> None:
    first = _post(http, "key")
    again = [_post(http, "key") for _ in range(3)]
    assert engine.calls == [[7]]
    assert first.status_code == 200
    assert "Idempotency-Replayed" not in first.headers
    for answer in again:
        assert (answer.status_code, answer.content) == (200, first.content)
        assert answer.headers["Content-Type"] == first.headers["Content-Type"]
        assert answer.headers["Idempotency-Replayed"] == "true"
    ids = {answer.headers["X-Request-ID"] for answer in (first, *again)}
    assert len(ids) == 4


def test_without_a_key_nothing_is_kept(
    http: httpx2.Client, engine: Engine, server: LocalServer
) -> None:
    for _ in range(2):
        assert http.post("/v1/classify", content=grey(7), headers=PNG).status_code == 200
    assert engine.calls == [[7], [7]]
    assert not _memory(server)._kept


@pytest.mark.parametrize("path", ["/classify", "/v1/classify"])
def test_each_key_and_each_address_is_its_own(
    http: httpx2.Client, engine: Engine, path: str
) -> None:
    assert _post(http, "one", path=path).status_code == 200
    assert _post(http, "other", path=path).status_code == 200
    assert _post(http, "one", path="/v1/classify?").status_code == 200
    assert len(engine.calls) == (2 if path == "/v1/classify" else 3)


@pytest.mark.parametrize(
    "key", ["", "x" * 256, "two words", "t\u00e4g", "tab\there"], ids=lambda key: repr(key)[:20]
)
def test_a_key_of_another_form_is_refused(server: LocalServer, engine: Engine, key: str) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        head, _, body = request_of(grey(7)).partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\nIdempotency-Key: " + key.encode() + b"\r\n\r\n" + body)
        answer = read_answer(connection)
        assert answer.status == 422
        assert json.loads(answer.body)["code"] == "invalid_parameter"
    assert engine.calls == []


def test_two_keys_are_refused_and_255_characters_are_not(http: httpx2.Client) -> None:
    keys = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), *PNG.items()]
    answer = http.post("/v1/classify", content=grey(7), headers=keys)
    assert answer.json()["code"] == "invalid_parameter"
    assert _post(http, "x" * 255).status_code == 200
    assert _post(http, '"8e03978e-40d5-43e8-bc93-6894a57f9324"').status_code == 200


@pytest.mark.parametrize(
    ("body", "path", "kind"),
    [
        (grey(8), "/v1/classify", "image/png"),
        (grey(7) + b"\0", "/v1/classify", "image/png"),
        (grey(7)[:-1], "/v1/classify", "image/png"),
        (grey(7), "/v1/classify?top_k=1", "image/png"),
        (grey(7), "/v1/classify", "image/jpeg"),
    ],
    ids=["photo", "longer", "shorter", "query", "type"],
)
def test_another_request_with_the_same_key_is_refused(
    http: httpx2.Client, engine: Engine, body: bytes, path: str, kind: str
) -> None:
    first = _post(http, "key")
    headers = {"Content-Type": kind, "Idempotency-Key": "key"}
    answer = http.post(path, content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert engine.calls == [[7]]
    assert _post(http, "key").content == first.content


def test_of_another_request_no_more_is_read_than_it_takes(
    http: httpx2.Client, server: LocalServer
) -> None:
    _post(http, "key")
    with socket.create_connection(server.address, timeout=30) as connection:
        head = request_of(b"", "Idempotency-Key: key").replace(b"th: 0", b"th: 6000000")
        connection.sendall(head + grey(7) + b"\0")  # and the rest never comes
        assert read_answer(connection).status == 422


def _form(boundary: str, brightness: int = 7) -> tuple[bytes, dict[str, str]]:
    body = (
        f"--{boundary}\r\nContent-Disposition: form-data; name=file; filename=a.png\r\n\r\n"
    ).encode() + grey(brightness)
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return body + f"\r\n--{boundary}--\r\n".encode(), headers


def test_a_form_that_is_made_again_is_the_same(http: httpx2.Client, engine: Engine) -> None:
    def post(boundary: str, brightness: int) -> httpx2.Response:
        body, headers = _form(boundary, brightness)
        headers["Idempotency-Key"] = "key"
        return http.post("/v1/classify", content=body, headers=headers)

    first, again, other = post("aaaa", 7), post("a-longer-boundary", 7), post("aaaa", 8)
    assert (first.status_code, other.status_code) == (200, 422)
    assert again.content == first.content
    assert engine.calls == [[7]]


@given(
    parts=st.lists(st.sampled_from([b"--XyX", b"Xy", b"X", b"yX", b"\n", b"photo", b""])),
    sizes=st.lists(st.integers(1, 9), min_size=1),
)
async def test_in_whatever_pieces_a_body_comes_it_is_the_same(
    parts: list[bytes], sizes: list[int]
) -> None:
    body = b"".join(parts)

    async def asked(pieces: list[bytes]) -> object:
        left = iter(pieces)

        async def receive() -> Message:
            piece = next(left, None)
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}

        headers = [(b"content-type", b"multipart/form-data; boundary=XyX")]
        taken = _Body({"headers": headers, "query_string": b""}, receive)
        await taken.read(at_most=10_000)
        return taken.asked()

    pieces, rest = [], body
    for size in itertools.cycle(sizes):
        if not rest:
            break
        pieces.append(rest[:size])
        rest = rest[size:]
    assert await asked(pieces) == await asked([body])
    assert await asked([body + b"?"]) != await asked([body])


def test_what_was_refused_leaves_its_key_free(
    http: httpx2.Client, engine: Engine, server: LocalServer
) -> None:
    def refused(body: bytes, path: str = "/v1/classify", **headers: str) -> int:
        given = {**PNG, "Idempotency-Key": "key", **headers}
        return http.post(path, content=body, headers=given).status_code

    assert refused(b"no image") == 415
    assert refused(grey(7)[:60]) == 422
    assert refused(grey(7), "/v1/classify?top_k=0") == 422
    assert refused(grey(7), "/v1/classify?model=none") == 404
    with socket.create_connection(server.address, timeout=30) as connection:
        head = request_of(b"", "Idempotency-Key: key").replace(b"th: 0", b"th: 60000000")
        connection.sendall(head)
        assert read_answer(connection).status == 413
    engine.failures[9] = RuntimeError("broken")
    assert refused(grey(9)) == 500
    assert not _memory(server)._running
    engine.calls.clear()
    assert _post(http, "key").status_code == 200
    assert engine.calls == [[7]]


def test_overload_leaves_the_key_free(store: Path, engine: Engine) -> None:
    with (
        _server(store, engine, queue_size=1) as server,
        httpx2.Client(base_url=server.url, trust_env=False) as http,
        socket.create_connection(server.address, timeout=30) as one,
        socket.create_connection(server.address, timeout=30) as two,
    ):
        engine.open.clear()
        one.sendall(request_of(grey(1)))
        assert engine.entered.acquire(timeout=20)
        two.sendall(request_of(grey(2)))
        eventually(lambda: server.waiting == 1)
        assert _post(http, "key").status_code == 503
        engine.open.set()
        assert [read_answer(one).status, read_answer(two).status] == [200, 200]
        assert _post(http, "key").status_code == 200


def test_who_hangs_up_leaves_the_key_free(
    http: httpx2.Client, server: LocalServer, engine: Engine
) -> None:
    engine.open.clear()
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(request_of(grey(7), "Idempotency-Key: key"))
        assert engine.entered.acquire(timeout=20)
        assert _post(http, "key").status_code == 409
    eventually(lambda: server.requests == 0)
    engine.open.set()
    assert _post(http, "key").status_code == 200


def test_who_hangs_up_while_sending_leaves_the_key_free(
    http: httpx2.Client, server: LocalServer
) -> None:
    with socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(request_of(grey(7), "Idempotency-Key: key")[:-10])
        eventually(lambda: server.requests == 1)
        eventually(lambda: _post(http, "key").status_code == 409)
    eventually(lambda: _post(http, "key").status_code == 200)


def test_an_answer_that_is_too_long_is_not_kept(
    http: httpx2.Client, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.api.guards.idempotency.LONGEST_ANSWER", 100)
    answers = [_post(http, "key") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert engine.calls == [[7], [7]]


def test_a_batch_is_answered_again_failures_and_all(http: httpx2.Client, engine: Engine) -> None:
    files = [("files", grey(7)), ("files", b"no image"), ("files", grey(9))]
    headers = {"Idempotency-Key": "key"}
    first, again = (http.post("/batch-classify", files=files, headers=headers) for _ in range(2))
    assert first.json()["summary"] == {"total": 3, "succeeded": 2, "failed": 1}
    assert again.content == first.content
    assert sorted(engine.calls) == [[7], [9]]


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("broken"),
        OverloadedError("full", retry_after_s=1),
        NotReadyError("away"),
        DeadlineExceededError("late"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_a_batch_in_which_the_server_failed_is_carried_out_again(
    http: httpx2.Client, engine: Engine, failure: Exception
) -> None:
    def post() -> dict[str, int]:
        files = [("files", grey(7)), ("files", b"no image"), ("files", grey(9))]
        answer = http.post("/batch-classify", files=files, headers={"Idempotency-Key": "key"})
        assert answer.status_code == 200
        summary: dict[str, int] = answer.json()["summary"]
        return summary

    engine.failures[9] = failure
    assert post() == {"total": 3, "succeeded": 1, "failed": 2}
    engine.failures.clear()
    for _ in range(2):
        assert post() == {"total": 3, "succeeded": 2, "failed": 1}
    assert engine.calls.count([7]) == 2


ROLLBACK = "/v1/models/fake/rollback"


@pytest.fixture
def at_three(store: Path) -> Iterator[LocalServer]:
    """A server whose `stable` has gone from 1 over 2 to 3."""
    for version in (1, 2, 3):
        fake_bundle(store, version=version)
    with serving_here(_settings(store)) as server:
        for version in (1, 2, 3):
            path = f"{server.url}/v1/models/fake/aliases/stable"
            answer = httpx2.put(path, json={"version": version}, trust_env=False, timeout=60)
            assert answer.status_code == 200
        yield server


def _stable(server: LocalServer) -> int:
    stable: int = server.services.models.catalog.aliases("fake")["stable"]
    return stable


def _roll_back(server: LocalServer, body: bytes | Iterator[bytes] = b"") -> httpx2.Response:
    headers = {"Idempotency-Key": "key"}
    url = server.url + ROLLBACK
    return httpx2.post(url, headers=headers, content=body, trust_env=False, timeout=60)


def test_a_roll_back_that_is_sent_twice_goes_back_once(at_three: LocalServer) -> None:
    answers = [_roll_back(at_three) for _ in range(2)]
    assert [answer.json()["aliases"]["stable"] for answer in answers] == [2, 2]
    assert _stable(at_three) == 2
    assert _roll_back(at_three, b"another body").json()["code"] == "idempotency_key_reused"


def test_a_roll_back_whose_client_hangs_up_goes_back_once(
    at_three: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, gone, roll_back = threading.Event(), threading.Event(), rerouting.roll_back

    async def slowly(manager: ModelManager, name: str) -> None:
        await roll_back(manager, name)
        done.set()
        assert await asyncio.to_thread(gone.wait, 30)

    monkeypatch.setattr(rerouting, "roll_back", slowly)
    request = request_of(b"", "Idempotency-Key: key", path=ROLLBACK)
    with socket.create_connection(at_three.address, timeout=30) as connection:
        connection.sendall(request)
        assert done.wait(30)
    eventually(lambda: at_three.connections == 0)
    gone.set()
    eventually(lambda: at_three.requests == 0)
    with socket.create_connection(at_three.address, timeout=30) as connection:
        connection.sendall(request)
        answer = read_answer(connection)
    assert answer.status == 200
    assert answer.headers["Idempotency-Replayed"] == "true"
    assert json.loads(answer.body)["aliases"]["stable"] == _stable(at_three) == 2


@pytest.mark.parametrize("chunked", [False, True])
def test_a_roll_back_with_too_long_a_body_goes_nowhere(
    at_three: LocalServer, chunked: bool
) -> None:
    body = b"x" * 70_000
    for _ in range(2):
        answer = _roll_back(at_three, iter([body]) if chunked else body)
        assert answer.status_code == 413
        assert answer.headers["Connection"] == "close"
    assert _stable(at_three) == 3
    assert _roll_back(at_three).json()["aliases"]["stable"] == 2


def test_a_roll_back_that_was_cut_off_goes_nowhere(at_three: LocalServer) -> None:
    with socket.create_connection(at_three.address, timeout=30) as connection:
        connection.sendall(request_of(b"whole", "Idempotency-Key: key", path=ROLLBACK)[:-1])
        eventually(lambda: at_three.requests == 1)
    eventually(lambda: at_three.requests == 0)
    assert _stable(at_three) == 3
    assert _roll_back(at_three).json()["aliases"]["stable"] == 2


def test_a_server_tells_its_clients_where_a_key_counts(http: httpx2.Client) -> None:
    document = http.get("/openapi.json").json()
    taking = {
        f"{method} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if [given["name"] for given in operation.get("parameters", [])].count("Idempotency-Key")
        == 1
    }
    assert taking == {
        "post /classify",
        "post /v1/jobs",
        "post /v1/classify",
        "post /batch-classify",
        "post /v1/batch-classify",
        "post /v1/models/{name}/rollback",
    }


async def test_another_principal_gets_none_of_it(store: Path) -> None:
    fake_bundle(store)
    app = SimpleNamespace(state=SimpleNamespace(services=build_services(_settings(store))))
    carried_out = []

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        carried_out.append(scope["state"]["principal"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def ask(principal: Principal | None) -> None:
        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(_message: Message) -> None:
            """Nobody looks."""

        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/classify",
            "query_string": b"",
            "headers": [(b"idempotency-key", b"key")],
            "app": app,
            "state": {"request_id": "1", "principal": principal},
        }
        await Idempotency(route)(scope, receive, send)

    one, other = (Principal(name, frozenset({"classify"})) for name in ("one", "other"))
    for principal in (one, other, None, one, other, None):
        await ask(principal)
    assert carried_out == [one, other, None]
