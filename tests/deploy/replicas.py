"""What stands behind a gateway in place of a server, so that a test decides what it does when."""

import contextlib
import select
import socket
from collections.abc import Iterator
from email.parser import BytesParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

    from tests.deploy.gateway import Address

_PATIENCE_S = 30


class Replica:
    """A listening socket; what comes is taken up, and answered, by hand.

    Args:
        listener: The socket.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        listener.settimeout(_PATIENCE_S)
        self.address: Address = listener.getsockname()

    @contextlib.contextmanager
    def asked(self) -> Iterator["Asked"]:
        """The next request, as soon as its head has come."""
        connection, _ = self._listener.accept()
        connection.settimeout(_PATIENCE_S)
        with connection:
            yield Asked(connection)

    @property
    def is_waited_for(self) -> bool:
        """Whether somebody has connected who was not taken up."""
        return bool(select.select([self._listener], [], [], 0)[0])


class Asked:
    """One request.

    Attributes:
        line: The request line.
        headers: By their names, in any case.
        body: What has come of it.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        read = b""
        while b"\r\n\r\n" not in read:
            read += self._more()
        head, self.body = read.split(b"\r\n\r\n", 1)
        line, rest = head.split(b"\r\n", 1)
        self.line = line.decode()
        self.headers: Message = BytesParser().parsebytes(rest + b"\r\n\r\n")

    def take(self, length: int) -> None:
        """Read on until so much of the body has come."""
        while len(self.body) < length:
            self.body += self._more()

    def say(self, text: bytes) -> None:
        """Answer, or a piece of it."""
        self._connection.sendall(text)

    def answer(self, body: bytes = b"{}") -> None:
        """Answer as a whole, and close."""
        self.say(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body))
        self.say(body)

    def _more(self) -> bytes:
        read = self._connection.recv(1 << 20)
        assert read, "the gateway has gone"
        return read


@contextlib.contextmanager
def replica() -> Iterator[Replica]:
    """One that listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Replica(listener)
