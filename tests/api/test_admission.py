"""Overload is answered from the head of a request alone."""

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.support import (
    Answer,
    Engine,
    LocalServer,
    asking,
    eventually,
    grey,
    held,
    read_answer,
    request_of,
    serving_one,
)

QUEUE = 2
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def _server(store: Path, engine: Engine) -> AbstractContextManager[LocalServer]:
    return serving_one(store, engine, queue_size=QUEUE)


@contextmanager
def _waiting(server: LocalServer, engine: Engine, count: int) -> Iterator[None]:
    """One photo in the engine, which is held, and `count` that wait; all are answered after."""
    with ExitStack() as stack:
        stack.enter_context(held(server, engine))
        waiting = []
        for number in range(1, 1 + count):
            waiting.append(stack.enter_context(asking(server, request_of(grey(number)))))
            eventually(partial(_has_waiting, server, number))
        try:
            yield
        finally:
            engine.open.set()
        assert [read_answer(connection).status for connection in waiting] == [200] * count


def _has_waiting(server: LocalServer, count: int) -> bool:
    return server.waiting == count


def _head(length: int, *headers: str, path: str = "/v1/classify") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: image/png", *headers]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def _check_refusal(answer: Answer) -> None:
    assert answer.status == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) >= 1
    problem = json.loads(answer.body)
    assert (problem["code"], problem["status"]) == ("overloaded", 503)
    assert problem["request_id"] == answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    "path", ["/v1/classify", "/classify", "/v1/batch-classify", "/classify?top_k=3"]
)
def test_a_full_queue_refuses_before_the_body_comes(store: Path, engine: Engine, path: str) -> None:
    with (
        _server(store, engine) as server,
        _waiting(server, engine, QUEUE),
        asking(server) as connection,
    ):
        connection.sendall(_head(5_000_000, path=path))
        _check_refusal(read_answer(connection))
    assert engine.calls == [[0], [1], [2]]


def test_the_connection_of_who_was_refused_can_be_used_on(store: Path, engine: Engine) -> None:
    with _server(store, engine) as server, asking(server) as connection:
        with _waiting(server, engine, QUEUE):
            connection.sendall(_head(5_000_000))
            _check_refusal(read_answer(connection))
            connection.sendall(b"\0" * 5_000_000)
            connection.sendall(HEALTH)
            health = read_answer(connection)
            assert health.status == 200
        connection.sendall(request_of(grey(100)))
        assert read_answer(connection).status == 200
    assert engine.calls == [[0], [1], [2], [100]]


def test_a_body_that_comes_with_its_head_is_no_trouble(store: Path, engine: Engine) -> None:
    with (
        _server(store, engine) as server,
        _waiting(server, engine, QUEUE),
        asking(server) as connection,
    ):
        for _ in range(3):
            connection.sendall(_head(5_000_000) + b"\0" * 5_000_000)
            _check_refusal(read_answer(connection))


def test_a_client_that_asks_first_need_not_send_its_body(store: Path, engine: Engine) -> None:
    with (
        _server(store, engine) as server,
        _waiting(server, engine, QUEUE),
        asking(server) as connection,
    ):
        connection.sendall(_head(5_000_000, "Expect: 100-continue"))
        _check_refusal(read_answer(connection))  # and no 100 before it
        assert connection.recv(1) == b""  # what it sent next could pass for the body


def test_what_would_come_too_late_is_refused_before_its_body_comes(
    store: Path, engine: Engine
) -> None:
    with _server(store, engine) as server:
        with _waiting(server, engine, 1), asking(server) as connection:
            (waiting,) = server.services.devices.cpu._lanes.interactive
            waiting.stage.learn(3600)
            connection.sendall(_head(5_000_000))
            _check_refusal(read_answer(connection))
        assert engine.calls == [[0], [1]]


def test_others_are_not_kept_out(store: Path, engine: Engine) -> None:
    with (
        _server(store, engine) as server,
        _waiting(server, engine, QUEUE),
        asking(server) as connection,
    ):
        for path in ("/health", "/v1/models", "/health/ready"):
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = read_answer(connection)
            assert answer.status == 200


def test_a_head_that_makes_no_sense_is_told_so_while_there_is_room(
    store: Path, engine: Engine
) -> None:
    with _server(store, engine) as server, asking(server) as connection:
        connection.sendall(request_of(grey(0), "X-Request-Timeout-Ms: soon"))
        assert read_answer(connection).status == 422
    assert engine.calls == []


def test_the_deadline_counts_from_the_head(store: Path, engine: Engine) -> None:
    """A client that takes longer for its body than it would wait for the answer gets none."""
    photo = grey(9)
    with _server(store, engine) as server, asking(server) as connection:
        head = _head(len(photo), "X-Request-Timeout-Ms: 300", "Expect: 100-continue")
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")  # the head has been read
        late = time.monotonic() + 0.3
        eventually(lambda: time.monotonic() > late)
        connection.sendall(photo)
        answer = read_answer(connection)
        assert answer.status == 504
        assert json.loads(answer.body)["code"] == "deadline_exceeded"
    assert engine.calls == []
