"""Calls over HTTP, on an event loop."""

import asyncio
from collections.abc import AsyncIterator

import httpcore2

from viewfinder.client.call import Answer
from viewfinder.client.options import Options
from viewfinder.client.photos.forms import Form
from viewfinder.client.sending.http import CONNECTIONS, FAILURES, IDLE_S, heard, timeouts, unheard
from viewfinder.client.sending.talk import Send, Unheard


class AsyncWire:
    """Connections to one server."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=options.context(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=options.at_once,
            keepalive_expiry=IDLE_S,
            network_backend=httpcore2.AnyIOBackend(),
        )

    async def send(self, send: Send) -> Answer | Unheard:
        """Do what a step says.

        Raises:
            OSError: A file of the body cannot be read.
        """
        call, body = send.call, send.call.body
        try:
            async with asyncio.timeout(send.timeout_s):
                response = await self._pool.request(
                    call.method,
                    self._options.address(call),
                    headers=self._options.headers(call, send.timeout_s),
                    content=_pieces(body) if isinstance(body, Form) else body,
                    extensions=timeouts(send.timeout_s),
                )
        except FAILURES as error:
            return unheard(error)
        except TimeoutError:
            return Unheard.LATE
        return heard(response)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


async def _pieces(form: Form) -> AsyncIterator[bytes]:
    """Those of a form; a thread reads them, and makes photos smaller."""
    pieces = form.pieces()
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
