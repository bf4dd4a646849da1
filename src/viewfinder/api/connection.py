"""Work for a client who has gone is given up: nobody computes an answer that nobody reads."""

import asyncio
from types import TracebackType
from typing import Self

from fastapi import Request
from starlette.requests import ClientDisconnect


class WhileConnected:
    """Cancels what is awaited inside when the client goes. Enter it once the body is read.

    An ASGI server never cancels a handler by itself.

    Raises:
        ClientDisconnect: The client has gone.
    """

    def __init__(self, request: Request) -> None:
        self._receive = request.receive
        self._gone = False

    async def __aenter__(self) -> Self:
        self._watching = asyncio.create_task(self._watch(asyncio.current_task()))
        return self

    async def __aexit__(
        self, _kind: object, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._watching.cancel()
        if self._gone and isinstance(error, asyncio.CancelledError):
            raise ClientDisconnect from error

    async def _watch(self, task: "asyncio.Task[object] | None") -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        if task is not None:
            task.cancel()
