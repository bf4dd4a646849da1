"""A server beside the work of a process, to be asked how that is."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING

from viewfinder.api.health import DRAINING
from viewfinder.errors import ListenError
from viewfinder.server.config import ServerConfig
from viewfinder.server.drain import DrainingServer
from viewfinder.server.run import configure
from viewfinder.settings import DrainSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from viewfinder.settings import Settings

# It is asked for a few kilobytes at a time: who has not got them by then is not waited for.
_DRAIN = DrainSettings(delay_s=0, timeout_s=1)
_NOT_STARTED = "the server for health and metrics could not start"


class BesideServer(DrainingServer):
    """Serves until it is told to stop by whoever has started it: signals are theirs to hear.

    Args:
        config: As of every server.

    Attributes:
        up: Set once it answers.
    """

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer.

        Raises:
            ListenError: It cannot; the log may say more.
        """
        try:
            await super().startup(sockets)
        except (OSError, SystemExit) as error:  # uvicorn would end the process, work and all
            await self.lifespan.shutdown()
            why = f": {error.strerror or error}" if isinstance(error, OSError) else ""
            raise ListenError(f"{_NOT_STARTED}{why}") from error
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield

    def say_stopping(self) -> None:
        """Have readiness say 503; everything is answered as before."""
        self.lifespan.state[DRAINING] = True


@contextlib.asynccontextmanager
async def serving_beside(
    application: "FastAPI", settings: "Settings", listener: socket.socket
) -> AsyncIterator[Callable[[], None]]:
    """Serve while the block runs.

    Args:
        application: What is asked.
        settings: With the limits of connections.
        listener: The socket to listen on.

    Yields:
        What to call when the work is about to stop.

    Raises:
        ListenError: It could not start.
    """
    settings = settings.model_copy(update={"drain": _DRAIN, "workers": 1})
    server = BesideServer(configure(lambda: application, settings))
    serving = asyncio.create_task(server.serve([listener]))
    up = asyncio.create_task(server.up.wait())
    try:
        await asyncio.wait({serving, up}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()  # says why
        yield server.say_stopping
    finally:
        up.cancel()
        server.should_exit = True
        await serving
