"""Clients that leave: nothing is worked out for them, and nobody else notices."""

import logging
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.support import (
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

from viewfinder.settings import CacheSettings


@contextmanager
def _busy(store: Path, engine: Engine, *, cache: bool = False) -> Iterator[LocalServer]:
    """A server whose only thread is held by a photo of the brightness 255."""
    given = {"queue_size": 256, "cache": CacheSettings(enabled=cache), "record": "none"}
    with serving_one(store, engine, **given) as server, held(server, engine, 255):
        yield server


def _answers_at_once(server: LocalServer, brightness: int) -> None:
    with asking(server, request_of(grey(brightness))) as connection:
        assert read_answer(connection).status == 200


def test_of_a_thousand_that_leave_while_they_wait_none_is_inferred(
    store: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with _busy(store, engine) as server:
        for _ in range(4):
            with ExitStack() as wave:
                for _ in range(250):
                    wave.enter_context(asking(server, request_of(grey(9))))
                eventually(lambda: server.waiting == 250)
            eventually(lambda: server.waiting == 0)
        engine.open.set()
        _answers_at_once(server, 100)
    assert engine.calls == [[255], [100]]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_those_that_wait_for_the_same_photo_and_leave_cost_nothing_either(
    store: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    with _busy(store, engine, cache=True) as server:
        with ExitStack() as wave:
            for _ in range(200):
                wave.enter_context(asking(server, request_of(grey(9))))
            eventually(lambda: server.requests == 201)
            assert server.waiting == 1
        eventually(lambda: server.requests == 1)
        assert server.waiting == 0
        engine.open.set()
        _answers_at_once(server, 100)
    assert engine.calls == [[255], [100]]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_those_that_stay_are_answered_when_the_one_they_waited_for_leaves(
    store: Path, engine: Engine
) -> None:
    with _busy(store, engine, cache=True) as server, ExitStack() as staying:
        with asking(server, request_of(grey(9))):
            eventually(lambda: server.waiting == 1)
            connections = [
                staying.enter_context(asking(server, request_of(grey(9)))) for _ in range(10)
            ]
            eventually(lambda: server.requests == 12)
        eventually(lambda: server.requests == 11)
        engine.open.set()
        assert [read_answer(connection).status for connection in connections] == [200] * 10
    assert engine.calls == [[255], [9]]


def test_a_connection_that_is_reset_is_one_that_left(store: Path, engine: Engine) -> None:
    with _busy(store, engine) as server:
        with asking(server, request_of(grey(9))) as connection:
            eventually(lambda: server.waiting == 1)
            now = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        eventually(lambda: server.waiting == 0)
        engine.open.set()
        _answers_at_once(server, 100)
    assert engine.calls == [[255], [100]]


@pytest.mark.parametrize("cache", [False, True])
def test_a_batch_that_leaves_stops(
    store: Path, engine: Engine, caplog: pytest.LogCaptureFixture, *, cache: bool
) -> None:
    with _busy(store, engine, cache=cache) as server:
        files = [("files", grey(shade)) for shade in range(40)]
        batch = httpx2.Request("POST", f"{server.url}/v1/batch-classify", files=files)
        body = batch.read()
        head = (
            f"POST /v1/batch-classify HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: {batch.headers['content-type']}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with asking(server, head.encode() + body):
            eventually(lambda: server.waiting == 2)  # its window
        eventually(lambda: server.requests == 1)
        assert server.waiting == 0
        engine.open.set()
        _answers_at_once(server, 100)
    assert engine.calls == [[255], [100]]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_connection_that_is_kept_answers_one_request_after_another(
    store: Path, engine: Engine
) -> None:
    with _busy(store, engine) as server:
        engine.open.set()
        with asking(server) as connection:
            for shade in (1, 2, 3):
                connection.sendall(request_of(grey(shade)))
                answer = read_answer(connection)
                assert answer.status == 200
    assert engine.calls == [[255], [1], [2], [3]]


def test_requests_sent_ahead_on_one_connection_are_answered_in_turn(
    store: Path, engine: Engine
) -> None:
    with _busy(store, engine) as server:
        requests = b"".join(request_of(grey(shade), "X-Request-ID: n") for shade in (1, 2, 3))
        with asking(server, requests) as connection:
            eventually(lambda: server.waiting == 1)
            engine.open.set()
            received = b""
            while received.count(b'"timing_ms"') < 3:
                more = connection.recv(65536)
                assert more
                received += more
    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert engine.calls == [[255], [1], [2], [3]]


def test_a_client_that_will_send_no_more_counts_as_one_that_left(
    store: Path, engine: Engine
) -> None:
    """The HTTP server closes a connection whose other half is closed, and always has."""
    with _busy(store, engine) as server:
        with asking(server, request_of(grey(9))) as connection:
            eventually(lambda: server.waiting == 1)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(65536) == b""
            eventually(lambda: server.waiting == 0)
        engine.open.set()
        _answers_at_once(server, 100)
    assert engine.calls == [[255], [100]]
