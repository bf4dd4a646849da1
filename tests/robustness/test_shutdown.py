"""Shutdown loses nothing that was accepted, and ends in time."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
from tests.robustness.clients import LOST, REFUSED, Clients
from tests.support import (
    Engine,
    Server,
    asking,
    eventually,
    fake_bundle,
    grey,
    in_full,
    read_answer,
    request_of,
    serving,
    serving_here,
    serving_one,
    workers_of,
)

from viewfinder.server import drain
from viewfinder.server.drain import DrainingServer
from viewfinder.settings import Settings

# Ten threads of which eight are busy: 80% load.
THREADS, KEPT, NEW = 10, 4, 4
PHOTO = grey(0)
_BARE = 20_000_000
CLOSING = "Connection: close"
READY = b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = b"GET /assets/vendor/swagger-ui/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n\r\n"


@contextlib.contextmanager
def _slow(
    home: Path, milliseconds: int, *arguments: str, until: str = "ready: ", **settings: object
) -> Iterator[Server]:
    fake_bundle(home / "models", "slow", milliseconds=milliseconds)
    given = {"CACHE__ENABLED": "false", **settings}
    with serving(home, "--model", "slow", *arguments, until=until, **given) as server:
        yield server
        assert "Traceback" not in "\n".join(server.lines)


def _signalled(server: Server, sign: int, *, workers: int = 1) -> None:
    """Ctrl-C reaches the whole group, SIGTERM the first process."""
    if sign == signal.SIGINT and workers > 1:
        os.killpg(server.process.pid, sign)
    else:
        server.process.send_signal(sign)


def _is_refused(server: Server) -> bool:
    try:
        socket.create_connection(server.address, timeout=5).close()
    except OSError:
        return True
    return False


RUNS = [
    (workers, delay, sign, number)
    for workers, delay, sign, times in (
        (1, 1, signal.SIGTERM, in_full(2, 10)),
        (1, 0, signal.SIGTERM, in_full(1, 5)),
        (2, 1, signal.SIGTERM, in_full(0, 5)),
        (2, 1, signal.SIGINT, in_full(1, 3)),
    )
    for number in range(times)
]


@pytest.mark.parametrize(("workers", "delay", "sign", "_number"), RUNS)
def test_under_load_every_request_that_was_accepted_is_answered(
    tmp_path: Path, workers: int, delay: int, sign: int, _number: int
) -> None:
    arguments = ["--threads", str(THREADS // workers), "--workers", str(workers)]
    with (
        _slow(tmp_path, 50, *arguments, DRAIN__DELAY_S=delay) as server,
        Clients(
            server.address, request_of(PHOTO), kept=KEPT, new=NEW, until_refused=True
        ) as clients,
    ):
        clients.go_on(50)
        _signalled(server, sign, workers=workers)
        clients.wait()
        assert server.process.wait(40) == 0
    lost = clients.kinds[LOST] - len(clients.excusable)
    assert (lost, clients.kinds.keys() - {LOST}) == (0, {"200", REFUSED})
    if delay and sign == signal.SIGTERM:
        # Those who keep their connection are told so in time, and none loses a request.
        assert clients.kinds[LOST] == 0
        assert sum(one.closing for one in clients.outcomes) >= KEPT
    assert not [line for line in server.lines if "cut off" in line]


def test_readiness_goes_first_and_requests_are_answered_meanwhile(tmp_path: Path) -> None:
    with _slow(tmp_path, 0, DRAIN__DELAY_S=4) as server:
        with asking(server, READY) as connection:
            assert read_answer(connection).status == 200
        server.process.send_signal(signal.SIGTERM)

        def told() -> bool:
            with asking(server, READY) as connection:
                answer = read_answer(connection)
                return answer.status == 503 and json.loads(answer.body)["code"] == "not_ready"

        eventually(told, within=3)
        with asking(server, request_of(PHOTO)) as connection:
            answer = read_answer(connection)
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
            assert connection.recv(1) == b""
        with asking(server, request_of(PHOTO) * 3) as connection:
            received = b"".join(iter(lambda: connection.recv(65536), b""))
            # Whoever sends ahead is answered too: the last answer closes.
            assert received.count(b"HTTP/1.1 200 OK") == 3
            assert received.lower().count(b"connection: close") == 1
        assert server.process.wait(30) == 0


@pytest.mark.parametrize("kept", [False, True])
def test_what_is_sent_at_the_last_moment_is_answered(
    store: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    """By who is in the queue of the listener when it closes, and by who has long been connected."""
    connections: list[socket.socket] = []
    stop = DrainingServer._stop_listening

    async def late(server: DrainingServer, sockets: Iterable[socket.socket]) -> None:
        if not kept:
            connections.extend(socket.create_connection(address, timeout=30) for _ in range(20))
        for connection in connections:
            connection.sendall(request_of(PHOTO))
        await stop(server, sockets)

    monkeypatch.setattr(DrainingServer, "_stop_listening", late)
    with contextlib.ExitStack() as stack:
        with serving_one(store, engine) as server:
            address = server.address
            if kept:
                connections.append(stack.enter_context(asking(server, request_of(PHOTO))))
                assert read_answer(connections[0]).body
        assert len(connections) == (1 if kept else 20)
        for connection in connections:
            stack.enter_context(connection)
            assert read_answer(connection).status == 200


def test_nobody_gets_in_between_the_last_look_at_the_queue_and_its_end(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept_all, tried = drain._accept_all, []

    def and_one_more(listener: socket.socket) -> Iterator[socket.socket]:
        yield from accept_all(listener)
        with contextlib.suppress(TimeoutError):
            socket.create_connection(listener.getsockname(), timeout=0.3).close()
            tried.append("connected")
        tried.append("gone")

    monkeypatch.setattr(drain, "_accept_all", and_one_more)
    fake_bundle(store)
    with serving_here(Settings(model_store=store, default_model="fake", threads=1)):
        pass
    assert tried == ["gone"]


def test_those_who_stall_are_cut_one_by_one_and_the_end_waits_for_no_more(tmp_path: Path) -> None:
    limits: dict[str, Any] = {"LIMITS__STALL_S": 2, "LIMITS__HEAD_S": 2, "DRAIN__TIMEOUT_S": 60}
    with _slow(tmp_path, 0, **limits) as server, contextlib.ExitStack() as stack:
        upload = stack.enter_context(asking(server, request_of(PHOTO)[:-10]))
        heading = stack.enter_context(asking(server, b"POST /v1/classify HTTP/1.1\r\n"))
        reading = stack.enter_context(asking(server, LARGE * 20))
        trickling = threading.Thread(target=_trickle, args=(heading,), daemon=True)
        trickling.start()
        server.process.send_signal(signal.SIGTERM)
        stalled = read_answer(upload)
        assert (stalled.status, stalled.headers["Connection"]) == (408, "close")
        trickling.join(30)
        assert not trickling.is_alive()
        assert server.process.wait(40) == 0
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := reading.recv(1 << 20):
                received += len(chunk)
        assert 0 < received < 20_000_000
    # Each for itself, and not all at the end of their time.
    assert not [line for line in server.lines if "cut off" in line]


def _trickle(connection: socket.socket) -> None:
    """A header that never ends, until somebody puts an end to it."""
    connection.settimeout(0.1)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        while True:
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                if not connection.recv(65536):
                    return


@pytest.mark.parametrize("workers", [1, 2][: in_full(1, 2)])
def test_what_takes_longer_than_there_is_time_is_cut(tmp_path: Path, workers: int) -> None:
    with (
        _slow(tmp_path, 3000, "--workers", str(workers), DRAIN__TIMEOUT_S=0.2) as server,
        asking(server, request_of(PHOTO)) as connection,
    ):
        _begun(server)
        server.process.send_signal(signal.SIGTERM)
        assert connection.recv(1) == b""
        assert server.process.wait(30) == 0
    assert [line for line in server.lines if "1 requests are cut off" in line]


def _begun(server: Server) -> None:
    """A request that was sent before another that is answered has been read."""
    for _ in range(8):  # each worker has had its turn
        assert httpx2.get(f"{server.url}/health", trust_env=False).is_success


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_ctrl_c_ends_it_at_once(tmp_path: Path, workers: int) -> None:
    fake_bundle(tmp_path / "models", "quick")
    with (
        serving(
            tmp_path, "--model", "quick", "--workers", str(workers), DRAIN__TIMEOUT_S=200
        ) as server,
        asking(server, request_of(PHOTO)[:-1]),
    ):
        _begun(server)
        _signalled(server, signal.SIGINT, workers=workers)
        eventually(lambda: _is_refused(server))
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(0.6)
        _signalled(server, signal.SIGINT, workers=workers)
        assert server.process.wait(5) in {0, 1}
    assert "Traceback" not in "\n".join(server.lines)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM][: in_full(1, 2)])
def test_a_signal_while_workers_start_ends_them_all_without_a_word(
    tmp_path: Path, sign: int
) -> None:
    with serving(tmp_path, "--workers", "2", until="Viewfinder on") as server:
        eventually(lambda: len(workers_of(server)) == 2)
        children = [psutil.Process(pid) for pid in workers_of(server)]
        # They are about to import what they need.
        eventually(lambda: all(child.memory_info().rss > _BARE for child in children))
        _signalled(server, sign, workers=2)
        assert server.process.wait(40) == 0
        eventually(lambda: not any(child.is_running() for child in children))
    assert "Traceback" not in "\n".join(server.lines)


@pytest.mark.parametrize("when", ["at the start", "when asked for"])
def test_a_model_that_loads_for_ever_does_not_hold_up_the_end(tmp_path: Path, when: str) -> None:
    fake_bundle(tmp_path / "models", "endless", milliseconds=60_000)
    model = "endless" if when == "at the start" else "slow"
    until = "Viewfinder on" if when == "at the start" else "ready: "
    fake_bundle(tmp_path / "models", "slow")
    with serving(
        tmp_path, "--model", model, "--threads", "50", until=until, DRAIN__TIMEOUT_S=0.5
    ) as server:
        process = psutil.Process(server.process.pid)
        if when == "at the start":
            eventually(lambda: process.num_threads() > 100)  # it warms up, side by side
            server.process.send_signal(signal.SIGTERM)
        else:
            with asking(server, request_of(PHOTO, path="/v1/classify?model=endless")):
                eventually(lambda: process.num_threads() > 100)
                server.process.send_signal(signal.SIGTERM)
                assert server.process.wait(30) == 0
        began = time.monotonic()
        assert server.process.wait(30) in {0, 1}
        assert time.monotonic() - began < 30
    assert "Traceback" not in "\n".join(server.lines)
