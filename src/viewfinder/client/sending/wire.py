"""Calls over HTTP: what the drivers share, and the way without an event loop.

`httpcore2`, the part of `httpx2` under its conveniences: no proxies from the environment, no
`.netrc`, no cookies, no redirects. Its timeouts bound each read and each write. A server that sends
a byte now and then would never be given up by these, so that `_Stream` bounds them all together.
"""

import ssl
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import httpcore2
from typing_extensions import override

from viewfinder.client.call import Answer
from viewfinder.client.options import Options
from viewfinder.client.photos.forms import Form
from viewfinder.client.sending.talk import Send, Unheard

CONNECTIONS = 100
# Less than a server, or a gateway, keeps an idle one: it seldom closes one that is just being used.
IDLE_S = 4.0
FAILURES = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)

_until: ContextVar[float] = ContextVar("_until")


class Wire:
    """Connections to one server; any number of threads may use them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._pool = httpcore2.ConnectionPool(
            ssl_context=options.context(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=options.at_once,
            keepalive_expiry=IDLE_S,
            network_backend=_Backend(),
        )

    def send(self, send: Send) -> Answer | Unheard:
        """Do what a step says.

        Raises:
            OSError: A file of the body cannot be read.
        """
        call, body = send.call, send.call.body
        token = _until.set(time.monotonic() + send.timeout_s)
        try:
            response = self._pool.request(
                call.method,
                self._options.address(call),
                headers=self._options.headers(call, send.timeout_s),
                content=body.pieces() if isinstance(body, Form) else body,
                extensions=timeouts(send.timeout_s),
            )
        except FAILURES as error:
            return unheard(error)
        finally:
            _until.reset(token)
        return heard(response)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def timeouts(seconds: float) -> dict[str, Any]:
    """How long each part of a call may take, at most."""
    return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)}


def heard(response: httpcore2.Response) -> Answer:
    """An answer whose body is there."""
    headers = {name.decode("latin-1").lower(): value for name, value in response.headers}
    return Answer(
        response.status,
        {name: value.decode("latin-1") for name, value in headers.items()},
        response.content,
    )


def unheard(error: Exception) -> Unheard:
    """Why there is no answer."""
    if isinstance(error, httpcore2.TimeoutException):
        return Unheard.LATE
    if not isinstance(error, httpcore2.ConnectError):
        return Unheard.BROKEN
    cause = error.__context__
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return Unheard.UNPROVED
    return Unheard.UNSENT


def _left() -> float:
    """Seconds that the call of this thread has.

    Raises:
        ReadTimeout: None.
    """
    seconds = _until.get() - time.monotonic()
    if seconds <= 0:
        raise httpcore2.ReadTimeout
    return seconds


class _Backend(httpcore2.SyncBackend):
    """Connections that heed the deadline of the call that uses them."""

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        return _Stream(super().connect_tcp(host, port, _left(), local_address, socket_options))


class _Stream(httpcore2.NetworkStream):
    """A connection."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    @override
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left())

    @override
    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # By hand: the stream below would wait as long once more for each part that is taken.
        connection = self._inner.get_extra_info("socket")
        view = memoryview(buffer)
        try:
            while view:
                connection.settimeout(_left())
                view = view[connection.send(view) :]
        except TimeoutError as error:
            raise httpcore2.WriteTimeout from error
        except OSError as error:
            raise httpcore2.WriteError from error

    @override
    def close(self) -> None:
        self._inner.close()

    @override
    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, _left()))

    @override
    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
