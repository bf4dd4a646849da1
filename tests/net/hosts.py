"""Web servers as tests need them: bare sockets that answer what they are told, and count."""

import contextlib
import errno
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import pytest
from tests.support import eventually

from viewfinder.imaging.decode import recognise
from viewfinder.net import addresses
from viewfinder.net.fetch import Fetcher
from viewfinder.settings import MIB, FetchSettings, Limits

PUBLIC = "127.0.0.2"  # what `let_be_public` takes for an address of the internet
_TRIES = 50

Script = Callable[[socket.socket], None]


def answer(
    body: bytes = b"", status: str = "200 OK", headers: Mapping[str, str] | None = None
) -> bytes:
    """A whole answer, with its length unless the headers say something else about it."""
    given = {"Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def redirect(where: str, status: int = 302) -> bytes:
    """An answer that points elsewhere."""
    return answer(status=f"{status} Elsewhere", headers={"Location": where})


@dataclass
class Host:
    """A web server.

    Attributes:
        address: Where it listens.
        port: Where it listens.
        answers: By path: the bytes to send, or what to do with the connection.
        heads: Of every request, as they came.
        connections: How many there have been.
    """

    address: str
    port: int
    answers: dict[str, bytes | Script] = field(default_factory=dict)
    heads: list[str] = field(default_factory=list)
    connections: int = 0

    def url(self, path: str = "/", *, name: str | None = None, scheme: str = "http") -> str:
        """One of its pages."""
        return f"{scheme}://{name or self.address}:{self.port}{path}"

    def reached(self) -> int:
        """How many connections there have been; those under way are counted too."""
        before = self.connections
        with socket.create_connection((self.address, self.port), timeout=10):
            # They are taken in their order: once this one is there, so are all before it.
            eventually(lambda: self.connections > before)
        self.connections -= 1
        return self.connections

    def serve(self, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Answer one request."""
        with contextlib.suppress(OSError, ssl.SSLError), contextlib.ExitStack() as stack:
            stack.enter_context(connection)
            connection.settimeout(20)
            if tls is not None:
                connection = stack.enter_context(tls.wrap_socket(connection, server_side=True))
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(65536)
                if not more:
                    return
                head += more
            self.heads.append(head.decode("latin-1"))
            given = self.answers.get(head.split(b" ")[1].decode(), answer(status="404 Not Found"))
            if callable(given):
                given(connection)
            else:
                connection.sendall(given)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


@contextlib.contextmanager
def hosting(
    answers: Mapping[str, bytes | Script] | None = None,
    *,
    address: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Host]:
    """A web server, for as long as the block lasts."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family, backlog=1000) as listener:
        host = Host(address, listener.getsockname()[1], dict(answers or {}))

        def listen() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    host.connections += 1
                    threading.Thread(target=host.serve, args=(connection, tls), daemon=True).start()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield host
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def let_be_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take `PUBLIC`, and no other address of this machine, for one of the internet."""
    really = addresses.is_public
    monkeypatch.setattr(
        addresses, "is_public", lambda found: found == ip_address(PUBLIC) or really(found)
    )


@contextlib.asynccontextmanager
async def fetching(*hosts: Host, most_bytes: int = 10 * MIB, **options: Any) -> AsyncIterator[Any]:
    """A way to fetch from hosts of this machine."""
    settings = FetchSettings(
        enabled=True, **{"allow_private": True, "ports": [host.port for host in hosts], **options}
    )
    fetcher = Fetcher(settings, Limits(image_bytes=most_bytes), recognise)

    async def fetch(url: str, within: float = 30.0) -> bytes:
        async with fetcher.fetch(url, time.monotonic() + within) as content:
            return content

    try:
        yield fetch
    finally:
        await fetcher.close()


class Names:
    """A name server in front of the real one.

    Attributes:
        answers: By name: what it says the first time, the second time, and so on; the last for
            ever. No addresses is a name that does not exist.
        asked: The names, in their order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self._really = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host: Any, port: Any, *more: Any, **named: Any) -> Any:
        if host not in self.answers:
            return self._really(host, port, *more, **named)
        self.asked.append(host)
        answers = self.answers[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [_as_found(address, port) for address in found]


def _as_found(address: str, port: int) -> tuple[Any, ...]:
    stream = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
    if ":" in address:
        return (socket.AF_INET6, *stream, (address, port, 0, 0))
    return (socket.AF_INET, *stream, (address, port))


@contextlib.contextmanager
def hosting_together(
    *addresses: str, answers: Mapping[str, bytes | Script] | None = None
) -> Iterator[list[Host]]:
    """Web servers at several addresses and one port, which others may hold at some of them.

    Args:
        addresses: Where they are.
        answers: What the first one says.
    """
    with contextlib.ExitStack() as stack:
        yield _at_one_port(stack, addresses, answers)


def _at_one_port(
    stack: contextlib.ExitStack,
    addresses: Sequence[str],
    answers: Mapping[str, bytes | Script] | None,
) -> list[Host]:
    for tries in range(_TRIES, 0, -1):
        with contextlib.ExitStack() as attempt:
            try:
                hosts = [attempt.enter_context(hosting(answers, address=addresses[0]))]
                for address in addresses[1:]:
                    one = hosting(address=address, port=hosts[0].port)
                    hosts.append(attempt.enter_context(one))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or tries == 1:
                    raise
            else:
                stack.push(attempt.pop_all())
                return hosts
    raise AssertionError
