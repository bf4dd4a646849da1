"""Servers that misbehave, on real sockets: both clients."""

import contextlib
import json
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.client.asking import KINDS, NEVER_AGAIN, asker
from tests.net import hosts
from tests.net.hosts import Host, Script, hosting, redirect
from tests.support import (
    PHOTOS,
    Server,
    eventually,
    fake_bundle,
    free_port,
    grey,
    needs,
    serving,
)

from viewfinder.client import operations
from viewfinder.client.sending.retrying import Retries
from viewfinder.errors import (
    DeadlineExceededError,
    OverloadedError,
    RemoteError,
    ServiceError,
)


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer, after which the connection is closed, and the client knows it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return hosts.answer(body, status, {"Connection": "close", **named})


KEY = "a-key-of-thirty-two-characters-or-more"
LIVE = answer(json.dumps({"status": "ok", "version": "1"}).encode())
FULL = json.dumps({"status": 503, "code": "overloaded", "detail": "Full."}).encode()
REFUSED = answer(FULL, "503 Service Unavailable", Retry_After="0")
PATH = "/health/live"
QUICK = Retries(backoff_s=0.001)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def in_turn(*answers: bytes | None) -> Script:
    """Answer one thing after the other; None resets the connection."""
    left = list(answers)

    def reply(connection: socket.socket) -> None:
        if (said := left.pop(0)) is None:
            reset(connection)
        else:
            connection.sendall(said)

    return reply


def reset(connection: socket.socket) -> None:
    """Break a connection off."""
    linger = b"\1\0\0\0\0\0\0\0"
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    connection.close()


def test_what_passes_is_waited_out(kind: str) -> None:
    answers = in_turn(REFUSED, None, answer(b"<html>", "502 Bad Gateway"), LIVE)
    with hosting({PATH: answers}) as host, asker(kind, host.url(), retries=QUICK) as ask:
        assert ask.live().version == "1"
    assert len(host.heads) == 4


def test_a_word_of_when_is_heeded(kind: str) -> None:
    told = answer(FULL, "503 Service Unavailable", Retry_After="1")
    with hosting({PATH: in_turn(told, LIVE)}) as host, asker(kind, host.url()) as ask:
        assert ask.live().version == "1"
        host.answers[PATH] = answer(FULL, "503 Service Unavailable", Retry_After="60")
        with pytest.raises(OverloadedError) as caught:
            ask.live()
    assert caught.value.retry_after_s == 60
    assert len(host.heads) == 3


def test_a_broken_server_is_not_stormed(kind: str) -> None:
    with hosting({PATH: REFUSED}) as host, asker(kind, host.url(), retries=QUICK) as ask:
        for _ in range(50):
            with pytest.raises(OverloadedError):
                ask.live()
    assert len(host.heads) == 50 + 10 + 4  # each once, the reserve, and a tenth of what came after


def test_what_hangs_ends_at_the_deadline(kind: str) -> None:
    over = threading.Event()

    def hang(_: socket.socket) -> None:
        over.wait(60)

    with hosting({PATH: hang}) as host, asker(kind, host.url()) as ask:
        with pytest.raises(DeadlineExceededError, match=r"within 0\.3 s"):
            ask.send(operations.live(), 0.3)
        over.set()


@pytest.fixture
def trickling() -> Iterator[Host]:
    """A server that sends a byte now and then: the head of an answer, or its body, for long."""
    over = threading.Event()

    def trickle(first: bytes, then: bytes) -> Script:
        def send(connection: socket.socket) -> None:
            connection.sendall(first)
            for _ in range(1000):  # not for ever: who is not cut off has failed
                if over.wait(0.02):
                    return
                connection.sendall(then)

        return send

    begun = b"HTTP/1.1 200 OK\r\nX: "
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    answers = {
        "/head/v1/classify?top_k=5&explain=none": trickle(begun, b"x"),
        "/body/v1/classify?top_k=5&explain=none": trickle(whole, b" "),
        "/mute/v1/classify?top_k=5&explain=none": trickle(b"", b""),
    }
    with hosting(answers) as host:
        yield host
        over.set()


@pytest.mark.parametrize("part", ["head", "body", "mute"])
def test_what_trickles_ends_at_the_deadline(kind: str, trickling: Host, part: str) -> None:
    with (
        asker(kind, trickling.url(f"/{part}")) as ask,
        pytest.raises(DeadlineExceededError, match=r"within 0\.5 s"),
    ):
        ask.classify(grey(8), timeout_s=0.5)
    assert trickling.connections == 1


def test_what_takes_nothing_in_ends_at_the_deadline(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(b"\xff\xd8\xff" * 2_000_000)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with asker(kind, url) as ask:
            with pytest.raises(DeadlineExceededError):
                ask.classify(b"\xff\xd8\xff" * 5_000_000, timeout_s=0.5)
            with pytest.raises(DeadlineExceededError):
                ask.submit([path] * 4, timeout_s=0.5)


def test_each_try_says_how_much_time_is_left(kind: str) -> None:
    with (
        hosting({PATH: in_turn(REFUSED, LIVE)}) as host,
        asker(kind, host.url(), retries=QUICK, timeout_s=20, key=KEY) as ask,
    ):
        ask.live()
    first, second = (int(_header(head, "x-request-timeout-ms")) for head in host.heads)
    assert 0 < second <= first <= 20_000
    assert _header(host.heads[0], "x-api-key") == KEY


def _header(head: str, name: str) -> str:
    lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    return lines[name]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (answer(b"<html>"), "is no Viewfinder .status 200."),
        (answer(b"[]"), "is no Viewfinder"),
        (answer(b"\xff\xfe"), "is no Viewfinder"),
        (answer(b'{"status": "ok"}'), "is no Viewfinder"),
        (answer(b"no", "404 Not Found"), "is no Viewfinder .status 404."),
        (redirect("http://127.0.0.1:1/"), "redirects"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "hung up"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "hung up"),
    ],
    ids=repr,
)
def test_what_is_no_viewfinder_is_said(kind: str, said: bytes, told: str) -> None:
    with (
        hosting({PATH: said}) as host,
        asker(kind, host.url(), retries=NEVER_AGAIN, key=KEY) as ask,
        pytest.raises(RemoteError, match=told) as caught,
    ):
        ask.live()
    assert len(host.heads) == 1
    assert KEY not in repr(caught.value)


def test_a_redirect_gets_no_key(kind: str) -> None:
    with hosting({PATH: LIVE}) as other, hosting({PATH: redirect(other.url(PATH))}) as host:
        with asker(kind, host.url(), key=KEY) as ask, pytest.raises(RemoteError):
            ask.live()
        assert other.reached() == 0


def test_an_unknown_code_is_of_the_nearest_kind(kind: str) -> None:
    body = {"status": 500, "code": "on_fire", "detail": "Smoke.", "request_id": "r-9"}
    said = answer(json.dumps(body).encode(), "500 Fire")
    with hosting({PATH: said}) as host, asker(kind, host.url()) as ask:
        with pytest.raises(ServiceError, match="Smoke") as caught:
            ask.live()
        assert (caught.value.code, caught.value.request_id) == ("on_fire", "r-9")
    assert len(host.heads) == 1


def test_a_certificate_that_nobody_signed_is_refused_once(
    kind: str, certificate: tuple[Path, ssl.SSLContext]
) -> None:
    file, context = certificate
    with hosting({PATH: LIVE}, tls=context) as host:
        url = host.url("", scheme="https", name="localhost")
        with asker(kind, url, key=KEY) as ask, pytest.raises(RemoteError, match="certificate"):
            ask.live()
        assert host.reached() == 1
        assert host.heads == []
        for trusted in (str(file), ssl.create_default_context(cafile=file), False):
            with asker(kind, url, verify=trusted) as ask:
                assert ask.live().status == "ok"


def test_a_server_without_tls_is_said(kind: str, server: Server) -> None:
    url = server.url.replace("http:", "https:")
    with asker(kind, url) as ask, pytest.raises(RemoteError, match="speak TLS"):
        ask.live()


def test_a_job_whose_answer_was_lost_is_not_made_twice(kind: str, tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with (
        serving(tmp_path, DEFAULT_MODEL="fake") as server,
        losing(server) as (url, lost),
        asker(kind, url, retries=QUICK) as ask,
    ):
        job = ask.submit([PHOTOS / "cat.jpg", grey(8)])
        assert lost[0].startswith(b"HTTP/1.1 202")
        assert [one.id for one in ask.jobs()] == [job.id]
        assert ask.wait(job.id, 60).counts.total == 2


def test_a_server_that_is_killed_and_comes_back_is_found_again(kind: str, tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", milliseconds=20)
    port = str(free_port())
    settings: dict[str, Any] = {
        "DEFAULT_MODEL": "fake",
        "CACHE__ENABLED": False,
        "JOBS__LEASE_S": 5,
    }
    lasting = Retries(attempts=1000, budget=1000, reserve=1000, longest_s=0.2)
    url = f"http://127.0.0.1:{port}"
    with asker(kind, url, retries=lasting, timeout_s=120) as ask, ThreadPoolExecutor(1) as pool:
        with serving(tmp_path, "--port", port, **settings) as server:
            job = ask.submit([grey(number) for number in range(250)])
            eventually(lambda: ask.job(job.id).counts.succeeded)
            server.process.kill()
            server.process.wait(60)
        done = pool.submit(lambda: (ask.classify(grey(8)).top.label, ask.wait(job.id, 300)))
        with serving(tmp_path, "--port", port, **settings):
            label, ended = done.result(300)
    assert label == "step-0"
    assert (ended.state, ended.counts.succeeded) == ("succeeded", 250)


def test_photos_are_answered_while_a_server_restarts(kind: str, tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    port = str(free_port())
    lasting = Retries(attempts=1000, budget=1000, reserve=1000, longest_s=0.2)
    taken = threading.Event()

    def photos() -> Iterator[bytes]:
        for number in range(200):
            if number == 50:
                taken.set()
            yield grey(number)

    with (
        asker(kind, f"http://127.0.0.1:{port}", retries=lasting, timeout_s=120) as ask,
        ThreadPoolExecutor(1) as pool,
    ):
        with serving(tmp_path, "--port", port, DEFAULT_MODEL="fake") as server:
            done = pool.submit(lambda: ask.classify_many(photos()))
            assert taken.wait(60)
            server.process.kill()
            server.process.wait(60)
        with serving(tmp_path, "--port", port, DEFAULT_MODEL="fake"):
            answers = done.result(300)
    assert [one.top.label for one in answers] == [f"step-{n * 16 // 256}" for n in range(200)]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """One that nobody has signed, for localhost."""
    file = tmp_path_factory.mktemp("tls") / "own"
    try:
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
                *("-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", f"{file}.key", "-out", f"{file}.crt"),
            ],
            check=True,
            capture_output=True,
        )
    except FileNotFoundError:
        needs("openssl", met=False)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{file}.crt", f"{file}.key")
    return Path(f"{file}.crt"), context


@contextlib.contextmanager
def losing(server: Server) -> Iterator[tuple[str, list[bytes]]]:
    """An address that leads to a server; its first answer is lost, and noted."""
    lost: list[bytes] = []

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(server.address) as behind:
                pump = threading.Thread(target=self.send, args=(behind,), daemon=True)
                pump.start()
                with contextlib.suppress(OSError):
                    while data := behind.recv(65536):
                        if not lost:
                            lost.append(data)
                            break
                        self.request.sendall(data)
                with contextlib.suppress(OSError):
                    self.request.shutdown(socket.SHUT_RDWR)
                pump.join(20)

        def send(self, behind: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := self.request.recv(65536):
                    behind.sendall(data)
                behind.shutdown(socket.SHUT_WR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        relay.daemon_threads = True
        thread = threading.Thread(target=relay.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{relay.server_address[1]}", lost
        relay.shutdown()
        thread.join(20)
