"""A URL to the bytes of an image, within limits on time, length, hops and trouble."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from http import HTTPStatus

import httpcore2
import httpx2

from viewfinder import __version__
from viewfinder.errors import DeadlineExceededError, FetchFailedError, OverloadedError
from viewfinder.net.client import CONNECTIONS, NO_ANSWER, Client
from viewfinder.net.urls import read_redirect, read_url
from viewfinder.settings import FetchSettings, Limits
from viewfinder.telemetry.tracing import Block, span

_HEADERS = {
    "User-Agent": f"viewfinder/{__version__}",
    "Accept": "image/*, */*;q=0.1",
    "Accept-Encoding": "identity",
}
_REDIRECTS = {
    HTTPStatus.MOVED_PERMANENTLY,
    HTTPStatus.FOUND,
    HTTPStatus.SEE_OTHER,
    HTTPStatus.TEMPORARY_REDIRECT,
    HTTPStatus.PERMANENT_REDIRECT,
}
_BUSY = "Too many images are being fetched already."
# No format needs more to be told.
_TELLING_BYTES = 64
# A body in tiny pieces is dear to read: as many as this, and one more for so many bytes.
_FREE_PIECES, _PIECE_BYTES = 64, 256


class Fetcher:
    """Fetches images for requests, as one process sees them."""

    def __init__(
        self, settings: FetchSettings, limits: Limits, look: Callable[[bytes], object]
    ) -> None:
        """Connects to nobody yet.

        Args:
            settings: Where to fetch from, and how long.
            limits: The longest image, and how many bytes all of them may have together.
            look: Is shown the first bytes of every image, and raises what is wrong with them.
        """
        self._settings = settings
        self._most_bytes = limits.image_bytes
        # A URL is short, and what it stands for is not: requests that wait with their images must
        # not fill the memory. Each counts as the longest.
        self._room = asyncio.Semaphore(max(1, limits.bodies_bytes // limits.image_bytes))
        self._lines = asyncio.Semaphore(CONNECTIONS)
        self._look = look
        self._client = Client(allow_private=settings.allow_private)

    @asynccontextmanager
    async def fetch(self, url: str, deadline: float) -> AsyncGenerator[bytes]:
        """Fetch an image, and hold it for as long as the block lasts.

        Args:
            url: As a stranger wrote it.
            deadline: On the clock of `time.monotonic`.

        Raises:
            BlockedAddressError: It, or where it leads, is not at a public address.
            FetchFailedError: There is no such image, or it does not come as it should, in time.
            DeadlineExceededError: The deadline was sooner.
            OverloadedError: Others were being fetched for all of that time.
            ViewfinderError: What `look` raises.
        """
        first = read_url(url, self._settings.ports, allow_private=self._settings.allow_private)
        async with AsyncExitStack() as held:
            left, asked = deadline - time.monotonic(), False
            try:
                async with asyncio.timeout(min(left, self._settings.timeout_s)):
                    await held.enter_async_context(self._room)
                    async with self._lines:
                        asked = True
                        content = await self._follow(first)
            except TimeoutError as error:
                if left < self._settings.timeout_s:
                    raise DeadlineExceededError("The image was not fetched in time.") from error
                if not asked:
                    raise OverloadedError(_BUSY, retry_after_s=1) from error
                raise FetchFailedError(NO_ANSWER) from error
            yield content

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def _follow(self, url: httpx2.URL) -> bytes:
        for _ in range(self._settings.redirects + 1):
            with _span(url) as noted:
                async with self._client.stream("GET", url, _HEADERS) as response:
                    noted.set("http.response.status_code", response.status)
                    if response.status not in _REDIRECTS:
                        return await self._body(response)
                    location = _header(response, b"location")
            if location is None:
                raise FetchFailedError("The host redirects without saying where to.")
            url = read_redirect(
                url, location, self._settings.ports, allow_private=self._settings.allow_private
            )
        raise FetchFailedError(f"The URL redirects more than {self._settings.redirects} times.")

    async def _body(self, response: httpcore2.Response) -> bytes:
        self._check_head(response)
        body, pieces, looked = bytearray(), 0, False
        async with aclosing(response.aiter_stream()) as stream:
            async for piece in stream:
                body += piece
                pieces += 1
                self._check_growth(len(body), pieces)
                if not looked and len(body) >= _TELLING_BYTES:
                    self._look(bytes(body[:_TELLING_BYTES]))
                    looked = True
        if not body:
            raise FetchFailedError("The host sends an empty image.")
        if not looked:
            self._look(bytes(body))
        return bytes(body)

    def _check_head(self, response: httpcore2.Response) -> None:
        if response.status != HTTPStatus.OK:
            raise FetchFailedError(f"The host answers {_in_words(response.status)}.")
        if (_header(response, b"content-encoding") or "identity").lower() != "identity":
            raise FetchFailedError("The host sends the image in a content encoding.")
        announced = _header(response, b"content-length") or ""
        if announced.isdecimal() and int(announced) > self._most_bytes:
            raise self._too_large()

    def _check_growth(self, arrived: int, pieces: int) -> None:
        if arrived > self._most_bytes:
            raise self._too_large()
        if pieces > _FREE_PIECES + arrived // _PIECE_BYTES:
            raise FetchFailedError("The host sends the image in tiny pieces.")

    def _too_large(self) -> FetchFailedError:
        return FetchFailedError(f"The image is over the limit of {self._most_bytes:,} bytes.")


def _span(url: httpx2.URL) -> Block:
    """Who is asked; path and query may be what opens the door there."""
    return span("fetch", {"http.request.method": "GET", "server.address": url.host}, "client")


def _header(response: httpcore2.Response, name: bytes) -> str | None:
    """The first header of that name."""
    found = next((value for key, value in response.headers if key.lower() == name), None)
    return None if found is None else found.decode("latin-1").strip()


def _in_words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
