"""Hostile HTTP over raw sockets: what is sent, and what a server makes of it."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus

import httpx2

from benchmarks.processes import Server

Pieces = Callable[[threading.Event], Iterator[bytes]]
"""Makes what is sent, piece by piece; one that waits ends when the event is set."""

_MB = 1_000_000
_PATH = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n"
_GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
_CHUNKED = _PATH + b"Transfer-Encoding: chunked\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")
_WATCH_S, _PATIENT_S = 8, 20
_IDLE = 1000
_SETTLE_S = 1
_NOTICED_MS = 100


@dataclass(frozen=True, slots=True)
class Attack:
    """One hostile client.

    Attributes:
        name: As in the table.
        pieces: What it sends.
        watch_s: How long it looks at what the server does.
        half_close: Whether it closes its half when all is sent.
        reads: Whether it reads the answers before the watch ends.
    """

    name: str
    pieces: Pieces
    watch_s: float = _WATCH_S
    half_close: bool = False
    reads: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attack; times in seconds from its beginning.

    Attributes:
        name: Of the attack.
        statuses: Of every answer, in turn.
        problem: Whether the first answer was a problem document.
        answered_s: When the first answer came.
        closed_s: When the server closed; none where it had not when the watch ended.
        sent_mb: What the server took, its socket's buffers with it.
        growth_mb: By how much its resident memory was above that before, at most.
        bystander_ms: The longest that another client waited for an answer meanwhile.
        alive: Whether it answers another client afterwards.
    """

    name: str
    statuses: list[int]
    problem: bool
    answered_s: float | None
    closed_s: float | None
    sent_mb: float
    growth_mb: float
    bystander_ms: float
    alive: bool

    def told(self) -> str:
        """In a few words."""
        said = "+".join(str(status) for status in self.statuses) or "no answer"
        kind = " problem" if self.problem else ""
        end = "open" if self.closed_s is None else f"closed {self.closed_s:.1f} s"
        dead = "" if self.alive else ", DEAD"
        sent = f", {self.sent_mb:.0f} MB taken" if self.sent_mb > 1 else ""
        slow = f", others {self.bystander_ms:.0f} ms" if self.bystander_ms > _NOTICED_MS else ""
        return f"{said}{kind}, {end}{sent}, +{self.growth_mb:.0f} MB{slow}{dead}"


def attack_all(server: Server) -> list[Outcome]:
    """Every attack: those that only wait side by side, the others one after the other."""
    with ThreadPoolExecutor(len(_patient())) as pool:
        waiting = list(pool.map(lambda one: conduct(server, one), _patient()))
    return waiting + [conduct(server, one) for one in _swift()]


def conduct(server: Server, attack: Attack) -> Outcome:
    """Send, and watch until the server closes or the watch ends."""
    time.sleep(_SETTLE_S)
    done = threading.Event()
    sent = [0]
    with (
        peak_growth(server) as growth,
        _bystander(server) as longest,
        _connected(server) as connection,
    ):
        began = time.monotonic()
        sender = threading.Thread(target=_send, args=(connection, attack, done, sent), daemon=True)
        sender.start()
        if not attack.reads:
            time.sleep(attack.watch_s)
        received, answered, closed = _watch(connection, began + attack.watch_s, began)
        done.set()
    sender.join(_WATCH_S)
    return Outcome(
        name=attack.name,
        statuses=[int(number) for number in _STATUS.findall(received)],
        problem=b"application/problem+json" in received,
        answered_s=answered,
        closed_s=closed,
        sent_mb=sent[0] / _MB,
        growth_mb=growth[0],
        bystander_ms=longest[0],
        alive=is_alive(server),
    )


def _connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=_WATCH_S)


def _send(
    connection: socket.socket, attack: Attack, done: threading.Event, sent: list[int]
) -> None:
    with contextlib.suppress(OSError):
        for piece in attack.pieces(done):
            if done.is_set():
                return
            connection.sendall(piece)
            sent[0] += len(piece)
        if attack.half_close:
            connection.shutdown(socket.SHUT_WR)


def _watch(
    connection: socket.socket, until: float, began: float
) -> tuple[bytes, float | None, float | None]:
    received, answered = b"", None
    while (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            more = connection.recv(65536)
        except TimeoutError:
            break
        except OSError:
            more = b""  # a reset is an end too
        if not more:
            return received, answered, time.monotonic() - began
        answered = answered or time.monotonic() - began
        received += more
    return received, answered, None


@contextlib.contextmanager
def peak_growth(server: Server) -> Iterator[list[float]]:
    """MB of resident memory above those at the start, at most, while the block runs."""
    before, growth, done = server.memory_mb(), [0.0], threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            growth[0] = max(growth[0], server.memory_mb() - before)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield growth
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def _bystander(server: Server) -> Iterator[list[float]]:
    """The most milliseconds that another client waits for an answer while the block runs."""
    longest, done = [0.0], threading.Event()

    def ask() -> None:
        with httpx2.Client(trust_env=False, timeout=_PATIENT_S) as client:
            while not done.wait(0.1):
                began = time.monotonic()
                with contextlib.suppress(httpx2.TransportError):
                    client.get(f"{server.url}/health")
                longest[0] = max(longest[0], (time.monotonic() - began) * 1000)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield longest
    finally:
        done.set()
        thread.join()


def is_alive(server: Server) -> bool:
    """Whether it answers a new client within seconds."""
    try:
        answer = httpx2.get(f"{server.url}/health", timeout=_WATCH_S, trust_env=False)
    except httpx2.TransportError:
        return False
    return answer.status_code == HTTPStatus.OK


@dataclass(frozen=True, slots=True)
class Idle:
    """What a thousand connections that say nothing do to another client.

    Attributes:
        answered_ms: How long the other client waited; none where it was not answered in time.
        growth_mb: Of the server's resident memory.
        closed: How many of them the server had closed at the end of the watch.
    """

    answered_ms: float | None
    growth_mb: float
    closed: int


def idle_connections(server: Server) -> Idle:
    """Hold them while another client asks."""
    with contextlib.ExitStack() as held, peak_growth(server) as growth:
        connections = [held.enter_context(_connected(server)) for _ in range(_IDLE)]
        time.sleep(_SETTLE_S)
        began = time.monotonic()
        answered = (time.monotonic() - began) * 1000 if is_alive(server) else None
        time.sleep(_PATIENT_S)
        closed = sum(_is_closed(connection) for connection in connections)
    return Idle(answered, growth[0], closed)


def _is_closed(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        while more := connection.recv(65536):
            del more
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _all_at_once(*pieces: bytes) -> Pieces:
    return lambda _: iter(pieces)


def _trickle(head: bytes, byte: bytes) -> Pieces:
    def pieces(done: threading.Event) -> Iterator[bytes]:
        yield head
        while not done.wait(1):
            yield byte

    return pieces


def _repeated(head: bytes, piece: bytes, times: int, tail: bytes = b"") -> Pieces:
    def pieces(_: threading.Event) -> Iterator[bytes]:
        yield head
        for _number in range(times):
            yield piece
        yield tail

    return pieces


def _patient() -> list[Attack]:
    """Those that wait for the server to lose its patience."""
    stalled = _PATH + b"Content-Length: 1000\r\n\r\n" + b"x" * 10
    return [
        Attack("nothing at all", _all_at_once(), _PATIENT_S),
        Attack("headers, a byte a second", _trickle(_GET + b"X-Slow: ", b"a"), _PATIENT_S),
        Attack("body stalls", _all_at_once(stalled), _PATIENT_S),
        Attack("body, a byte a second", _trickle(stalled, b"x"), _PATIENT_S),
        Attack("idle after an answer", _all_at_once(_GET + b"\r\n"), _PATIENT_S),
    ]


def _swift() -> list[Attack]:
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    long_header = b"X-Long: " + b"a" * 8000 + b"\r\n"
    short_headers = b"".join(b"X-%d: a\r\n" % number for number in range(20_000))
    small = b"Content-Type: text/plain\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n"
    pairs = {
        "64 MB of headers": _repeated(_GET, long_header, 8000, b"\r\n"),
        "20,000 headers": _all_at_once(_GET + short_headers + b"\r\n"),
        "one header of 1 MB": _all_at_once(_GET + b"X: " + b"a" * _MB + b"\r\n\r\n"),
        "one header without end": _repeated(_GET + b"X: ", b"a" * 65536, 10_000),
        "a target of 1 MB": _all_at_once(b"GET /" + b"a" * _MB + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
        "no HTTP at all": _all_at_once(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
        "Content-Length and chunked": _all_at_once(
            _PATH + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ),
        "two Content-Lengths": _all_at_once(
            _PATH + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"
        ),
        "Content-Length -5": _all_at_once(_PATH + b"Content-Length: -5\r\n\r\nabc"),
        "bad chunk size": _all_at_once(_CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n"),
        "65,537 chunks of a byte": _repeated(
            _CHUNKED, b"1\r\nx\r\n" * 64, 1024, b"1\r\nx\r\n0\r\n\r\n"
        ),
        "chunked past the limit": _repeated(_CHUNKED, chunk, 256, b"0\r\n\r\n"),
        "Content-Length over the limit": _repeated(
            _PATH + b"Content-Length: 10000000000\r\n\r\n", b"x" * 0x100000, 9536
        ),
        "trailers without end": _repeated(_CHUNKED + b"1\r\nx\r\n0\r\n", long_header, 8000),
        "a chunk extension without end": _repeated(_CHUNKED + b"1;", b"a" * 65536, 1000),
        "Expect with a wrong type": _all_at_once(
            b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\n" + small
        ),
        "three requests sent ahead": _all_at_once((_GET + b"\r\n") * 3),
    }
    ahead = (_GET + b"\r\n") * 1000
    short = _PATH + b"Content-Length: 1000\r\n\r\n" + b"x" * 10
    return [
        *(Attack(name, pieces) for name, pieces in pairs.items()),
        Attack("short body, then half-close", _all_at_once(short), half_close=True),
        Attack("100,000 sent ahead, none read", _repeated(b"", ahead, 100), reads=False),
    ]
