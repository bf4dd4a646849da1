"""A server that stops without losing what it has accepted, and in bounded time."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from types import FrameType

import uvicorn

from viewfinder.api.health import DRAINING
from viewfinder.server.config import ServerConfig
from viewfinder.server.protocol import GuardedProtocol

logger = logging.getLogger(__name__)
_TICKS_PER_CHECK = 5
_TICK_S = 0.1
_SETTLING_S = 0.05
_CLOSING_S = 5.0
_GIVEN_UP = 1


class DrainingServer(uvicorn.Server):
    """Says that it is not ready; answers what still comes; then closes, and ends.

    SIGTERM comes from supervisors, behind which a load balancer goes on sending until it has looked
    at readiness: for that the delay is. Ctrl-C comes from a person, who does not want to wait, and
    whose second Ctrl-C ends the process where it stands.

    Args:
        config: Says how long each phase may take.
    """

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self._config = config
        self._settings = config.drain
        self._impatient = False
        self._last_resort: threading.Timer | None = None

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop, and stop."""
        try:
            super().run(sockets)
        finally:
            if self._last_resort is not None:
                self._last_resort.cancel()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        if not self.should_exit:
            self._impatient = sig == signal.SIGINT
            super().handle_exit(sig, frame)
        elif sig == signal.SIGINT:
            os._exit(_GIVEN_UP)

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections, twice a second."""
        if counter % _TICKS_PER_CHECK == 0:
            self._check_connections()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: see the class."""
        delay = 0.0 if self._impatient else self._settings.delay_s
        self._give_up_after(delay + self._settings.timeout_s + _CLOSING_S)
        self.lifespan.state[DRAINING] = True
        await self._tend(delay)
        await self._stop_listening(sockets or ())
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._tend(self._settings.timeout_s, until_quiet=True)
        self._cut()
        await self.lifespan.shutdown()

    async def _tend(self, seconds: float, *, until_quiet: bool = False) -> None:
        loop, counter = asyncio.get_running_loop(), 0
        end = loop.time() + seconds
        while loop.time() < end:
            state = self.server_state
            if until_quiet and not state.connections and not state.tasks:
                return
            await asyncio.sleep(min(_TICK_S, max(0.0, end - loop.time())))
            counter += 1
            await self.on_tick(counter)

    def _check_connections(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, GuardedProtocol):
                connection.check(now)

    async def _stop_listening(self, sockets: Iterable[socket.socket]) -> None:
        """Take in who has connected, and listen no more."""
        loop = asyncio.get_running_loop()
        waiting = [connection for listener in sockets for connection in _accept_all(listener)]
        for server in self.servers:
            server.close()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(_SETTLING_S)  # what has been sent by now is read

    def _protocol(self) -> GuardedProtocol:
        return GuardedProtocol(self._config, self.server_state, self.lifespan.state)

    def _cut(self) -> None:
        state = self.server_state
        if state.connections or state.tasks:
            logger.warning("%d requests are cut off unanswered", len(state.tasks))
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()

    def _give_up_after(self, seconds: float) -> None:
        """However something hangs, the process ends."""

        def give_up() -> None:
            logger.error("the server did not stop in time")
            os._exit(_GIVEN_UP)

        self._last_resort = threading.Timer(seconds, give_up)
        self._last_resort.daemon = True
        self._last_resort.start()


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    listener.setblocking(False)
    with contextlib.suppress(OSError):  # there is nobody more
        while True:
            connection, _ = listener.accept()
            connection.setblocking(False)
            yield connection
