"""HTTP by hand: any bytes out, and every answer that comes back looked at."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psutil
from tests.robustness.leaks import check_no_leak
from tests.support import Server, eventually

from viewfinder.api.errors import CATALOG, MEDIA_TYPE
from viewfinder.api.schemas.problem import Problem
from viewfinder.settings import MIB

CHUNKED = "Transfer-Encoding: chunked"
HOST = b"Host: localhost\r\n"
_LAST = "last"
_SUCCESS = {200, 202}
_PLAIN_MEMORY = 48 * MIB


@dataclass(frozen=True)
class Answer:
    """One answer.

    Attributes:
        status: The status.
        headers: By their names in lower case.
        body: All of it.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of the problem, or None where there is none."""
        return None if self.status in _SUCCESS else str(json.loads(self.body)["code"])

    @property
    def request_id(self) -> str:
        """The id that the server names."""
        return self.headers["x-request-id"]


@dataclass(frozen=True)
class Reply:
    """What came back on one connection.

    Attributes:
        answers: In their order; each that is no success is a whole problem, and leaks nothing.
        closed: Whether the server has closed the connection.
    """

    answers: list[Answer]
    closed: bool

    @property
    def codes(self) -> list[str | None]:
        """The codes of all answers, None for each success."""
        return [answer.code for answer in self.answers]


def head(*headers: str, path: str = "/v1/classify", method: str = "POST") -> bytes:
    """The head of a request; what it posts is an image, unless a header says otherwise."""
    typed = method != "POST" or any(header.startswith("Content-Type") for header in headers)
    own = () if typed else ("Content-Type: image/jpeg",)
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *own, *headers, "", ""]
    return "\r\n".join(lines).encode()


def get(path: str = "/health", *headers: str) -> bytes:
    """A request without a body."""
    return head(*headers, path=path, method="GET")


def post(body: bytes, *headers: str, path: str = "/v1/classify") -> bytes:
    """A request with a body of known length."""
    return head(*headers, f"Content-Length: {len(body)}", path=path) + body


def chunked(*pieces: bytes) -> Iterator[bytes]:
    """A body of unknown length."""
    for piece in pieces:
        yield b"%x\r\n" % len(piece) + piece + b"\r\n"
    yield b"0\r\n\r\n"


def last() -> bytes:
    """A request after which `converse` waits for nothing more."""
    return get("/health", f"X-Request-ID: {_LAST}")


def converse(
    address: tuple[str, int], *pieces: bytes | Iterable[bytes], half_close: bool = False
) -> Reply:
    """Send, and read until the server closes or has answered what `last` says.

    Args:
        address: Of the server.
        pieces: What to send; nothing more is sent once the server has closed.
        half_close: Say after it that nothing more will come.
    """
    with socket.create_connection(address, timeout=30) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                for part in (piece,) if isinstance(piece, bytes) else piece:
                    connection.sendall(part)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        return read_reply(connection)


def read_reply(connection: socket.socket) -> Reply:
    """Read until the server closes or has answered what `last` says."""
    stream, closed = b"", False
    while not closed and f"x-request-id: {_LAST}".encode() not in stream:
        try:
            more = connection.recv(1 << 20)
        except ConnectionResetError:
            more = b""
        stream += more
        closed = not more
    return Reply(list(_answers(stream)), closed)


def read_one(connection: socket.socket) -> Answer:
    """Read one answer, where no more than one comes."""
    stream = b""
    while True:
        more = connection.recv(1 << 20)
        assert more, stream
        stream += more
        if (answer := _first(stream)[0]) is not None:
            return _checked(answer)


def _answers(stream: bytes) -> Iterator[Answer]:
    while stream:
        answer, stream = _first(stream)
        assert answer is not None, stream
        if answer.status != 100:
            yield _checked(answer)


def _first(stream: bytes) -> tuple[Answer | None, bytes]:
    start, found, rest = stream.partition(b"\r\n\r\n")
    if not found:
        return None, stream
    status, *lines = start.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
    length = int(headers.get("content-length", "0"))
    if len(rest) < length:
        return None, stream
    assert status.startswith("HTTP/1.1 "), status
    return Answer(int(status.split()[1]), headers, rest[:length]), rest[length:]


def _checked(answer: Answer) -> Answer:
    if answer.status not in _SUCCESS:
        check_problem(answer.status, answer.headers, answer.body)
    return answer


def check_problem(status: int, headers: dict[str, str], body: bytes) -> None:
    """Check an answer that is no success: a problem of the catalogue, whole, that leaks nothing."""
    assert headers["content-type"] == MEDIA_TYPE
    problem = Problem.model_validate_json(body)
    assert CATALOG[problem.code] == (problem.status, problem.title)
    assert problem.status == status
    assert problem.type == f"urn:viewfinder:error:{problem.code}"
    assert problem.request_id == headers["x-request-id"]
    assert status < 500 or status in {503, 504}
    check_no_leak(str(headers))
    check_no_leak(body.decode())


@contextlib.contextmanager
def flat_memory(server: Server, *, most: int = _PLAIN_MEMORY) -> Iterator[None]:
    """Look at a server's memory all the while, and fail if it grows by more than `most` bytes."""
    process, seen = psutil.Process(server.process.pid), 0
    before = process.memory_info().rss
    over = threading.Event()

    def watch() -> None:
        nonlocal seen
        while not over.wait(0.005):
            seen = max(seen, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
    assert seen - before < most, f"it grew by {(seen - before) / MIB:.0f} MiB"


def has_connection(server: Server, connection: socket.socket) -> bool:
    """Whether the server still holds its end of a connection."""
    return connection.getsockname()[1] in peers(server)


def peers(server: Server) -> list[int]:
    """The ports of those who are connected to a server."""
    held = psutil.Process(server.process.pid).net_connections()
    return [one.raddr.port for one in held if one.raddr]


def check_unharmed(server: Server) -> None:
    """The same process is ready, answers a new connection, and nothing unforeseen was logged."""
    assert server.process.poll() is None
    ready = converse(server.address, get("/health/ready"), last()).answers[0]
    assert ready.status == 200
    assert json.loads(ready.body)["status"] == "ready"
    log = "\n".join(server.lines)
    assert "Traceback" not in log
    assert " ERROR " not in log


def all_gone(server: Server) -> None:
    """Wait until the server holds no connection."""
    eventually(lambda: not peers(server))
