"""An HTTP client that connects to public addresses only.

`httpcore2`, the part of `httpx2` under its conveniences, and on purpose nothing above it: no
proxies from the environment, no `.netrc`, no cookies, no redirects, no decompression. What is left
to do is the connection: `CheckedBackend` looks the name up itself, looks at every address that it
is told, and connects to one that it has looked at. A name server that answers otherwise the next
time gains nothing: there is no next time.

Of the environment only `SSL_CERT_FILE` and `SSL_CERT_DIR` count: the operator says whom to trust.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncGenerator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address

import httpcore2
import httpx2
from typing_extensions import override

from viewfinder.errors import BlockedAddressError, FetchFailedError
from viewfinder.net import addresses
from viewfinder.net.urls import NOT_PUBLIC
from viewfinder.telemetry.tracing import outgoing

CONNECTIONS = 16
NO_ANSWER = "The host of the URL cannot be reached, or does not speak HTTP."
_MOST_TRIED = 4
_ONE_TRY_S = 3.0
# The status line and all headers, and every 1xx before them.
_HEAD_BYTES = 64 * 1024
_FAILURES = (
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
    OSError,
)


class Client:
    """Sends requests to URLs that `urls.read_url` has passed.

    A connection serves one request: an idle one saves a handshake now and then, and fails a
    request whenever the host closes it at the wrong moment.
    """

    def __init__(self, *, allow_private: bool) -> None:
        """Args: allow_private: Whether addresses that are not public may be connected to."""
        self._backend = CheckedBackend(allow_private=allow_private)
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=httpx2.create_ssl_context(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=0,
            network_backend=self._backend,
        )

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: httpx2.URL,
        headers: Mapping[str, str],
        content: bytes | None = None,
    ) -> AsyncGenerator[httpcore2.Response]:
        """Send a request; inside, the head of the answer is there and its body comes as it is read.

        There is no limit on time or on the length of the body: whoever asks sets them.

        Raises:
            BlockedAddressError: The host has an address that is not public, or none.
            FetchFailedError: Anything else that kept an answer from coming.
        """
        target = httpcore2.URL(
            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
        )
        sent = {"Host": url.netloc.decode(), "Connection": "close", **outgoing(), **headers}
        try:
            async with self._pool.stream(
                method, target, headers=list(sent.items()), content=content
            ) as response:
                stream = response.extensions["network_stream"]
                if isinstance(stream, _BoundedHead):
                    stream.release()
                yield response
        except _FAILURES as error:
            raise FetchFailedError(NO_ANSWER) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
        self._backend.close()


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connections, to addresses that have been looked at."""

    def __init__(self, *, allow_private: bool) -> None:
        """Args: allow_private: Whether addresses that are not public may be connected to."""
        self._allow_private = allow_private
        self._inner = httpcore2.AnyIOBackend()
        # Threads of its own: a name server that is slow on purpose must not hold those that the
        # rest of the service shares.
        self._resolvers = ThreadPoolExecutor(CONNECTIONS, "resolve")

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to a host by name or address.

        Raises:
            BlockedAddressError: One of its addresses is not public, or there is none.
        """
        found = await self._look_up(host, port)
        if not self._allow_private and not all(map(addresses.is_public, found)):
            raise BlockedAddressError(NOT_PUBLIC)
        failure: Exception = httpcore2.ConnectError()
        tried = found[:_MOST_TRIED]
        for address in tried:
            patience = timeout if address is tried[-1] else _ONE_TRY_S
            try:
                return _BoundedHead(
                    await self._inner.connect_tcp(
                        str(address), port, patience, local_address, socket_options
                    )
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    @override
    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: a URL means no socket of this machine.

        Raises:
            BlockedAddressError: Always.
        """
        raise BlockedAddressError(NOT_PUBLIC)

    @override
    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await self._inner.sleep(seconds)

    def close(self) -> None:
        """Let go of the threads; one that a name server holds ends when that answers."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)

    async def _look_up(self, host: str, port: int) -> list[IPv4Address | IPv6Address]:
        try:
            return [ipaddress.ip_address(host)]
        except ValueError:
            pass
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                self._resolvers, _getaddrinfo, host, port
            )
        except socket.gaierror as error:
            # Whether a name is known inside only, or nowhere, is nobody's business outside.
            unknown = error.errno in _UNKNOWN and not self._allow_private
            raise (
                BlockedAddressError(NOT_PUBLIC) if unknown else httpcore2.ConnectError()
            ) from error
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError from error
        return list(dict.fromkeys(map(ipaddress.ip_address, found)))


_UNKNOWN = {socket.EAI_NONAME, socket.EAI_NODATA}


def _getaddrinfo(host: str, port: int) -> list[str]:
    """Every address of a name, as text."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class _BoundedHead(httpcore2.AsyncNetworkStream):
    """A connection that gives so much until it is released: the head of an answer has an end."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left: int | None = _HEAD_BYTES

    def release(self) -> None:
        """The head is there; the body is its reader's to bound."""
        self._left = None

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left is None:
            return await self._stream.read(max_bytes, timeout)
        if self._left == 0:
            raise httpcore2.RemoteProtocolError
        data = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(data)
        return data

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    @override
    async def aclose(self) -> None:
        await self._stream.aclose()

    @override
    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        return _BoundedHead(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    @override
    def get_extra_info(self, info: str) -> object:
        return self._stream.get_extra_info(info)
