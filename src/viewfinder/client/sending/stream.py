"""Connections that heed the deadline of the call that uses them.

The timeouts of `httpcore2` bound each read and each write. A server that sends a byte now and then
would never be given up by these, so that all of a call's are bounded together here.
"""

import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import httpcore2
from typing_extensions import override

_until: ContextVar[float] = ContextVar("_until")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Give what this thread sends and reads so many seconds, all together."""
    token = _until.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


class Backend(httpcore2.SyncBackend):
    """Makes such connections."""

    @override
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        return Stream(super().connect_tcp(host, port, _left(), local_address, socket_options))


class Stream(httpcore2.NetworkStream):
    """One of them."""

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
        return Stream(self._inner.start_tls(ssl_context, server_hostname, _left()))

    @override
    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left() -> float:
    """Seconds that the call of this thread has.

    Raises:
        ReadTimeout: None.
    """
    seconds = _until.get() - time.monotonic()
    if seconds <= 0:
        raise httpcore2.ReadTimeout
    return seconds
