"""A load generator: raw sockets in a process of its own.

It asks at a constant rate whether or not earlier requests are answered (an open loop), or again as
soon as a connection is answered (a closed one). A request's time begins when it was due, so that a
stalled server cannot hide its stalls by not being asked.

Measured with the example photos at 1,000 requests/s: 0.2 ms of processor time a request, where k6
takes 0.8 ms. The generator shares the cores with the server, so this is what decides.
"""

import contextlib
import math
import multiprocessing
import resource
import selectors
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection as Pipe

_READ = selectors.EVENT_READ
_WRITE = selectors.EVENT_WRITE
_CHUNK = 65536
_SEND_BUFFER = 256 * 1024
_LOOK_S = 0.1
_LONGEST_WAIT_S = 0.05


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent.

    Attributes:
        kind: What the report calls it.
        data: The whole request.
        leave: Hang up as soon as it is sent.
    """

    kind: str
    data: bytes
    leave: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do.

    Attributes:
        port: Where the server listens on the loopback address.
        requests: Sent in turn.
        connections: At most this many at a time; in a closed loop always.
        rate: Requests per second of an open loop; None for a closed one.
        seconds: How long to ask.
        count: How many to ask.
        patience: Seconds after which a client gives up.
    """

    port: int
    requests: tuple[Request, ...]
    connections: int
    rate: float | None = None
    seconds: float = math.inf
    count: float = math.inf
    patience: float = 10.0


@dataclass(slots=True)
class Report:
    """What happened.

    Attributes:
        times: Milliseconds of each request by its kind and outcome, such as `photo 200`. An
            outcome without a status is `broken`, `gave up`, `left`, or `unsent`, where all
            connections were taken.
        seconds: How long it asked.
        cpu_seconds: Processor time of the generator.
        lag_ms: How late it sent what was due, at worst.
    """

    times: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    lag_ms: float = 0.0

    @property
    def counts(self) -> dict[str, int]:
        """How many had which outcome."""
        return {outcome: len(times) for outcome, times in sorted(self.times.items())}


def http_request(
    kind: str,
    path: str,
    body: bytes,
    *,
    content_type: str = "image/jpeg",
    deadline_ms: int | None = None,
    headers: Mapping[str, str] | None = None,
    close: bool = False,
    sent: float = 1.0,
) -> Request:
    """A POST of an image.

    Args:
        kind: What the report calls it.
        path: Where to.
        body: What is posted.
        content_type: What the body is.
        deadline_ms: The server is told to answer within it.
        headers: Others to send.
        close: The connection is to end with the answer.
        sent: The share of the body to send; the client leaves after less than all.
    """
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Content-Type: {content_type}",
        f"Content-Length: {len(body)}",
    ]
    if deadline_ms is not None:
        lines.append(f"X-Request-Timeout-Ms: {deadline_ms}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if close:
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode()
    return Request(kind, head + body[: int(len(body) * sent)], leave=sent < 1)


class Running:
    """A generator at work."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe

    def wait_until_asked(self, seconds: float | None = None) -> bool:
        """Until the last request is sent; some of them may wait for their answers.

        Args:
            seconds: The longest to wait; None for ever.

        Returns:
            Whether it is sent. Not to be called again after that.
        """
        if not self._pipe.poll(seconds):
            return False
        self._pipe.recv()
        return True

    def report(self) -> Report:
        """Until every request is settled."""
        report: Report = self._pipe.recv()
        return report


def generate(plan: Plan) -> Report:
    """Carry out a plan."""
    with generating(plan) as running:
        running.wait_until_asked()
        return running.report()


@contextlib.contextmanager
def generating(plan: Plan) -> Iterator[Running]:
    """Carry out a plan while the block runs."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_generate, args=(plan, there), daemon=True)
    process.start()
    there.close()  # or its end would go unnoticed
    try:
        yield Running(here)
        process.join()
    finally:
        process.kill()
        process.join()


def _generate(plan: Plan, pipe: Pipe) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    began = time.process_time()
    report = _Generator(plan, pipe).run()
    report.cpu_seconds = time.process_time() - began
    pipe.send(report)


class _Connection:
    """A socket, the request on it, and what has come back."""

    __slots__ = ("due", "received", "request", "socket", "unsent")

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        # A request's last part must not wait for an acknowledgement of the one before.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", port))  # sending waits for it, and tells if it fails
        self.received = b""
        self.unsent = memoryview(b"")
        self.request: Request | None = None
        self.due = 0.0

    def take(self, request: Request, due: float) -> None:
        self.request, self.due = request, due
        self.received = b""
        self.unsent = memoryview(request.data)

    def send(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self.unsent:
                self.unsent = self.unsent[self.socket.send(self.unsent) :]

    def receive(self) -> bool:
        """Whether the connection is still open."""
        while True:
            try:
                chunk = self.socket.recv(_CHUNK)
            except BlockingIOError:
                return True
            self.received += chunk
            if len(chunk) < _CHUNK:
                return bool(chunk)


def read_answer(received: bytes) -> tuple[int, bool] | None:
    """The status of a whole answer and whether the connection stays; None while parts miss.

    Raises:
        ValueError: This is no HTTP, or of a length that only its end would tell.
    """
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return None
    first, *lines = head.lower().split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines)
    if headers.get(b"transfer-encoding") == b"chunked":
        is_whole = (b"\r\n" + body).endswith(b"\r\n0\r\n\r\n")
    elif b"content-length" in headers:
        is_whole = len(body) >= int(headers[b"content-length"])
    else:
        raise ValueError("an answer without a length")
    if not is_whole:
        return None
    return int(first.split()[1]), headers.get(b"connection") != b"close"


class _Generator:
    """One thread, one selector, and a stack of idle connections: the warmest is used first."""

    def __init__(self, plan: Plan, pipe: Pipe) -> None:
        self._plan = plan
        self._pipe = pipe
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._asked = 0
        self._began = 0.0
        self._asking = True
        self._looked = 0.0
        self._report = Report()

    def run(self) -> Report:
        self._began = time.perf_counter()
        while self._asking or self._busy:
            if self._asking:
                self._ask()
            for key, events in self._selector.select(self._pause()):
                self._serve(key.data, events)
            self._give_up()
        return self._report

    def _ask(self) -> None:
        """Send all that is due."""
        plan, now = self._plan, time.perf_counter()
        while self._asked < plan.count and now - self._began < plan.seconds:
            if plan.rate is None:
                if len(self._busy) >= plan.connections:
                    return
                due = now
            else:
                due = self._began + self._asked / plan.rate
                if due > now:
                    return
                self._report.lag_ms = max(self._report.lag_ms, (now - due) * 1000)
            self._send(plan.requests[self._asked % len(plan.requests)], due)
            self._asked += 1
            now = time.perf_counter()
        self._asking = False
        self._report.seconds = now - self._began
        self._pipe.send(None)

    def _pause(self) -> float:
        """Seconds until something is to be done although no socket is ready."""
        if not self._asking or self._plan.rate is None:
            return _LONGEST_WAIT_S
        due = self._began + self._asked / self._plan.rate
        return min(_LONGEST_WAIT_S, max(0.0, due - time.perf_counter()))

    def _send(self, request: Request, due: float) -> None:
        if not self._idle and len(self._busy) >= self._plan.connections:
            self._note(request, "unsent", due)
            return
        try:
            connection = self._idle.pop() if self._idle else self._connect()
        except OSError:
            self._note(request, "broken", due)
            return
        connection.take(request, due)
        self._busy.add(connection)
        self._serve(connection, _WRITE)

    def _connect(self) -> _Connection:
        connection = _Connection(self._plan.port)
        self._selector.register(connection.socket, _READ, connection)
        return connection

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if events & _WRITE:
                connection.send()
                # Waiting to write is rare: the kernel's buffer holds a photo.
                watched = _READ | _WRITE if connection.unsent else _READ
                if self._selector.get_key(connection.socket).events != watched:
                    self._selector.modify(connection.socket, watched, connection)
            if connection.request is not None and connection.request.leave:
                if not connection.unsent:
                    self._end(connection, "left")
                return
            if events & _READ:
                self._receive(connection)
        except (OSError, ValueError):
            self._end(connection, "broken")

    def _receive(self, connection: _Connection) -> None:
        is_open = connection.receive()
        answer = read_answer(connection.received) if connection.request is not None else None
        if answer is None:
            if not is_open or connection.request is None:
                self._end(connection, "broken")
            return
        status, stays = answer
        # A refusal may come before the whole photo is sent: then the rest of it is in the way.
        if stays and is_open and not connection.unsent:
            self._settle(connection, str(status))
            self._idle.append(connection)
        else:
            self._end(connection, str(status))

    def _settle(self, connection: _Connection, outcome: str) -> None:
        if connection.request is not None:
            self._note(connection.request, outcome, connection.due)
        connection.request = None
        self._busy.discard(connection)

    def _end(self, connection: _Connection, outcome: str) -> None:
        self._settle(connection, outcome)
        self._selector.unregister(connection.socket)
        connection.socket.close()
        with contextlib.suppress(ValueError):
            self._idle.remove(connection)

    def _note(self, request: Request, outcome: str, due: float) -> None:
        times = self._report.times.setdefault(f"{request.kind} {outcome}", [])
        times.append((time.perf_counter() - due) * 1000)

    def _give_up(self) -> None:
        now = time.perf_counter()
        if now < self._looked + _LOOK_S:
            return
        self._looked = now
        for connection in [c for c in self._busy if now - c.due > self._plan.patience]:
            self._end(connection, "gave up")
