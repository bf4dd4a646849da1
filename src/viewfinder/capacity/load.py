"""Closed-loop load: each client asks again as soon as it is answered.

On this machine it takes cores from the server, so it does as little as it can: requests are put
together once, and the answer's parser is that of the server.
"""

import asyncio
import itertools
import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

import httptools
import httpx2
import numpy as np

from viewfinder.capacity.measured import Step

_REFUSED = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
# Before whoever got no answer asks again.
_PAUSE_S = 0.1
# Beyond the time of a step, until what is still not answered is given up.
_PATIENCE_S = 60.0
_CONNECT_S = 10.0
JPEG = b"\xff\xd8"
"""What a JPEG begins with."""

# A comment of eight bytes, behind the first two bytes of a JPEG.
_COMMENT = b"\xff\xfe\x00\x0a"


@dataclass(frozen=True, slots=True)
class Target:
    """Where to ask, and how.

    Attributes:
        host: A name or an address.
        port: Its port.
        tls: What is trusted; None for plain HTTP.
        head: Of each request, but for its length.
        varied: Whether no two photos may be the same, so that none is answered from a cache.
            Photos that are no JPEG stay as they are.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None
    head: bytes
    varied: bool = False

    @classmethod
    def at(
        cls,
        url: str,
        path: str,
        *,
        key: str | None = None,
        tls: ssl.SSLContext | None = None,
        varied: bool = False,
    ) -> "Target":
        """A server's address, and a path on it."""
        parts = httpx2.URL(url)  # which writes what is not ASCII as HTTP has it
        port = parts.port or (443 if parts.scheme == "https" else 80)
        lines = [
            f"POST {parts.raw_path.decode('ascii').rstrip('/')}{path} HTTP/1.1",
            f"Host: {parts.netloc.decode('ascii')}",
            "Content-Type: image/*",
            "Accept: application/json",
            *([f"X-API-Key: {key}"] if key is not None else []),
        ]
        head = "\r\n".join(lines).encode("ascii")
        return cls(parts.raw_host.decode("ascii"), port, tls, head, varied)


class Connection(asyncio.Protocol):
    """One client's connection; asked one thing at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._ended = False

    @classmethod
    async def open(cls, target: Target) -> "Connection":
        """Connect; raises `OSError`, of which a time-out is one."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_S):
            _, made = await loop.create_connection(cls, target.host, target.port, ssl=target.tls)
        return made

    async def ask(self, parts: Sequence[bytes]) -> int:
        """Send a request and wait for the status of its answer; raises `OSError`."""
        if self._transport is None or self._ended:
            raise ConnectionError("closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.writelines(parts)
        return await self._answer

    @property
    def is_open(self) -> bool:
        """Whether it can be asked once more."""
        return not self._ended

    def close(self) -> None:
        """Hang up."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.connection_lost(ConnectionError("no HTTP"))
            self.close()

    def on_message_complete(self) -> None:
        """See `httptools`: an answer is whole."""
        self._ended = self._ended or not self._parser.should_keep_alive()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._parser.get_status_code())

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._ended = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("closed"))


@dataclass(slots=True)
class _Seen:
    """What all clients saw."""

    times: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0
    until: float = 0.0


class Load:
    """Photos for a server.

    Args:
        target: The server.
        photos: Their files, sent in turn.
    """

    def __init__(self, target: Target, photos: Sequence[bytes]) -> None:
        self._target = target
        self._photos = photos
        self._numbers = itertools.count(time.time_ns())

    async def run(self, clients: int, seconds: float) -> Step:
        """Ask for some seconds, and until the last one is answered.

        Raises:
            OSError: There is no server at all.
        """
        seen = _Seen()
        connections = await self._connect(clients)
        tasks: list[asyncio.Task[None]] = []
        used, began = time.process_time(), time.perf_counter()
        seen.until = began
        try:
            tasks = [
                asyncio.create_task(self._client(number, connections, began + seconds, seen))
                for number in range(clients)
            ]
            _, pending = await asyncio.wait(tasks, timeout=seconds + _PATIENCE_S)
            seen.failed += len(pending)
        finally:
            for task in tasks:
                task.cancel()
            for connection in connections:
                connection.close()
            await asyncio.gather(*tasks, return_exceptions=True)
        took = max(seen.until - began, 1e-9)
        p50, p99 = np.percentile(seen.times, (50, 99)) if seen.times else (0.0, 0.0)
        return Step(
            clients,
            rate=len(seen.times) / took,
            p50_ms=float(p50),
            p99_ms=float(p99),
            answered=len(seen.times),
            refused=seen.refused,
            failed=seen.failed,
            client_cores=(time.process_time() - used) / (time.perf_counter() - began),
        )

    async def _connect(self, clients: int) -> list[Connection]:
        """Before the clock runs: what a handshake takes is no answer's time."""
        opening = (Connection.open(self._target) for _ in range(clients))
        made = await asyncio.gather(*opening, return_exceptions=True)
        opened = [one for one in made if isinstance(one, Connection)]
        for one in made:
            if isinstance(one, BaseException):
                for connection in opened:
                    connection.close()
                raise one
        return opened

    async def _client(
        self, number: int, connections: list[Connection], end: float, seen: _Seen
    ) -> None:
        requests = self._requests(number)
        while True:
            began = time.perf_counter()
            try:
                if not connections[number].is_open:
                    connections[number] = await Connection.open(self._target)
                status = await connections[number].ask(next(requests))
            except OSError:
                connections[number].close()
                status = 0
            now = time.perf_counter()
            if status == HTTPStatus.OK:
                seen.times.append(1000 * (now - began))
                seen.until = now
            elif status in _REFUSED:
                seen.refused += 1
            else:
                seen.failed += 1
            if now >= end:
                return
            if status != HTTPStatus.OK:
                await asyncio.sleep(_PAUSE_S)

    def _requests(self, number: int) -> Iterator[list[bytes]]:
        """Each client begins with another photo."""
        count = len(self._photos)
        order = [self._photos[(number + turn) % count] for turn in range(count)]
        varied = [self._target.varied and photo.startswith(JPEG) for photo in order]
        made = [
            b"%b\r\nContent-Length: %d\r\n\r\n"
            % (self._target.head, len(photo) + (len(_COMMENT) + 8 if is_varied else 0))
            for photo, is_varied in zip(order, varied, strict=True)
        ]
        for head, photo, is_varied in itertools.cycle(zip(made, order, varied, strict=True)):
            if is_varied:
                mark = next(self._numbers).to_bytes(8, "big")
                yield [head + JPEG + _COMMENT + mark, photo[len(JPEG) :]]
            else:
                yield [head, photo]
