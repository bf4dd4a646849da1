"""A real server, in a process of its own, to be measured."""

import asyncio
import multiprocessing
import os
import signal
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from pathlib import Path

import httpx2

from viewfinder.app import create_app
from viewfinder.capacity.usage import Usage, usage
from viewfinder.errors import MeasuringError
from viewfinder.server.listener import listen
from viewfinder.server.run import run
from viewfinder.server.workers import stop_when_orphaned
from viewfinder.settings import (
    AuthSettings,
    BlobSettings,
    CacheSettings,
    DatabaseSettings,
    DrainSettings,
    RateLimitSettings,
    Settings,
    TracingSettings,
)

_HOST = "127.0.0.1"
_STOP_S = 15.0
# A model may have to be compiled first.
_START_S, _COMPILING_S = 120.0, 1800.0
_QUEUE = 1024
_EXITING = "Application startup failed"  # which says less than the line before
_DEADLINE_S = 300.0


@dataclass(frozen=True, slots=True)
class Child:
    """A server that is ready.

    Attributes:
        url: Where it is.
        pid: Of its first process.
        start_s: Seconds that its start took.
        is_alive: Whether that process is still there.
    """

    url: str
    pid: int
    start_s: float
    is_alive: Callable[[], bool]

    def usage(self) -> Usage:
        """What it has taken."""
        return usage(self.pid)


def to_be_measured(
    settings: Settings, store: Path, model: str, home: Path, *, workers: int, threads: int
) -> Settings:
    """Settings of a server that works on every photo, keeps nothing, and refuses nobody.

    What the person has set otherwise stays: it is what is to be measured.

    Args:
        settings: The person's.
        store: The folder of the models.
        model: `name@version`.
        home: An empty folder.
        workers: Server processes.
        threads: Compute threads of each.
    """
    limits = settings.limits
    return settings.model_copy(
        update={
            "home": home,
            "host": _HOST,
            "workers": workers,
            "threads": threads,
            "default_model": model,
            "models": (),
            "model_store": str(store),
            "queue_size": max(settings.queue_size, _QUEUE),
            "request_timeout_s": max(settings.request_timeout_s, _DEADLINE_S),
            "record": "none",
            "redis_url": None,
            "trusted_proxies": (),
            "limits": limits.model_copy(update={"connections": max(limits.connections, _QUEUE)}),
            "auth": AuthSettings(enabled=False),
            "rate_limit": RateLimitSettings(enabled=False),
            "cache": CacheSettings(enabled=False),
            "database": DatabaseSettings(),
            "blobs": BlobSettings(),
            "jobs": settings.jobs.model_copy(update={"run": False}),
            "tracing": TracingSettings(),
            "drain": DrainSettings(delay_s=0, timeout_s=1),
        }
    )


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Child]:
    """A server with these settings on a free port of this machine, until the block ends.

    Raises:
        MeasuringError: It did not come up.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    with tempfile.NamedTemporaryFile() as words:
        process = context.Process(target=_serve, args=(settings, there, words.name))
        began = time.perf_counter()
        process.start()
        there.close()  # or its end would go unnoticed
        try:
            patience = _COMPILING_S if settings.device == "tensorrt" else _START_S
            try:
                async with asyncio.timeout(patience):
                    port = await _heard(here)
                    url = f"http://{_HOST}:{port}"
                    await _ready(url)
            except (EOFError, TimeoutError, httpx2.TransportError) as error:
                why = _last_words(words.read().decode(errors="replace"))
                raise MeasuringError(f"the server to measure did not start: {why}") from error
            pid = process.pid or 0
            yield Child(url, pid, time.perf_counter() - began, process.is_alive)
        finally:
            here.close()
            _stop(process)


def _serve(settings: Settings, pipe: Pipe, words: str) -> None:
    """The main program of the server's process; what it says goes to a file."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    said = os.open(words, os.O_WRONLY | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    threading.Thread(target=stop_when_orphaned, daemon=True).start()
    listener = listen(settings.host, 0)
    pipe.send(listener.getsockname()[1])
    pipe.close()
    run(partial(create_app, settings), settings, listener)


def _last_words(text: str) -> str:
    """Why a server has ended, of all that it has said."""
    lines = [line for line in text.splitlines() if line.strip() and _EXITING not in line]
    # An exception's name, with that of its module, helps nobody here.
    return lines[-1].rpartition("Error: ")[2] if lines else "it said nothing"


def _stop(process: BaseProcess) -> None:
    """In its own time, and whatever happens."""
    try:
        process.terminate()
        process.join(_STOP_S)
    finally:
        process.kill()
        process.join()
        process.close()


async def _heard(pipe: Pipe) -> int:
    """What comes out of a pipe; raises `EOFError` when its other end has gone."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    port: int = pipe.recv()
    return port


async def _ready(url: str) -> None:
    """Until the model can answer: who asks before the server has loaded it waits for that."""
    async with httpx2.AsyncClient(base_url=url, timeout=None, trust_env=False) as client:
        answer = await client.get("/health/ready")
    if answer.status_code != HTTPStatus.OK:
        raise MeasuringError(f"the server to measure is not ready: {answer.json()['detail']}")
