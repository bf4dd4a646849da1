"""A body that is held as a whole."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request

from viewfinder.errors import MalformedRequestError

Data = TypeVar("Data", str, bytes)
Converted = TypeVar("Converted")

_LARGE = 256 * 1024


async def read_whole(request: Request) -> bytes:
    """All of it.

    Raises:
        MalformedRequestError: There is none.
    """
    body = b"".join([chunk async for chunk in request.stream()])
    if not body:
        raise MalformedRequestError("The body is empty.")
    return body


async def off_the_loop(convert: Callable[[Data], Converted], data: Data) -> Converted:
    """Convert what is large in a thread, so that others need not wait for it."""
    if len(data) < _LARGE:
        return convert(data)
    return await asyncio.to_thread(convert, data)
