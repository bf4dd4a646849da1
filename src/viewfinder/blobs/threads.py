"""Threads for blobs alone: a bucket that hangs keeps none that somebody needs for another thing."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

_T = TypeVar("_T")

THREADS = 16
"""How many there are; each is started when it is needed."""

_pool = ThreadPoolExecutor(THREADS, "blobs")


async def in_thread(work: Callable[..., _T], *arguments: object) -> _T:
    """As `asyncio.to_thread`, in one of these threads."""
    running = partial(contextvars.copy_context().run, work, *arguments)
    return await asyncio.get_running_loop().run_in_executor(_pool, running)
