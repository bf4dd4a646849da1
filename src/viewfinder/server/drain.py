"""A server that stops without losing what it has accepted, and in bounded time."""

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn

from viewfinder.api.health import DRAINING
from viewfinder.api.metrics import METRICS
from viewfinder.server.config import ServerConfig
from viewfinder.server.protocol import GuardedProtocol
from viewfinder.telemetry.lines import LATER

if TYPE_CHECKING:
    from viewfinder.telemetry.metrics import Metrics

CLOSING_S = 7.0
"""Seconds for what is left to do when all requests are answered or cut."""
GIVEN_UP = 1
"""The exit status of what did not come to its own end."""

logger = logging.getLogger(__name__)
_TICKS_PER_CHECK = 5
_TICK_S = 0.1
_SETTLING_S = 0.05
_LAST_WORD_S = 1.0
_SO_ATTACH_FILTER = 26  # Linux; Python has no name for it


class DrainingServer(uvicorn.Server):
    """Says that it is not ready; answers what still comes; then closes, and ends.

    SIGTERM comes from supervisors, behind which a load balancer goes on sending until it has looked
    at readiness: for that the delay is. Ctrl-C comes from a person, who does not want to wait, and
    whose second Ctrl-C ends the process where it stands.

    Args:
        config: Says how long each phase may take.

    Attributes:
        impatient: Whether a person waits for the end.
    """

    def __init__(self, config: ServerConfig) -> None:
        super().__init__(config)
        self._config = config
        self._settings = config.drain
        self.impatient = False
        self._told, self._stopped = threading.Event(), threading.Event()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop, and stop."""
        threading.Thread(target=self._see_to_the_end, daemon=True).start()
        try:
            super().run(sockets)
        finally:
            self._stopped.set()
            self._told.set()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        if not self.should_exit:
            self.impatient = self.impatient or sig == signal.SIGINT
            super().handle_exit(sig, frame)
            self._told.set()
        elif sig == signal.SIGINT:
            os._exit(GIVEN_UP)

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections, twice a second."""
        if counter % _TICKS_PER_CHECK == 0:
            self._check_connections()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop: see the class."""
        logger.info("stopping: %d requests in hand", len(self.server_state.tasks))
        self.lifespan.state[DRAINING] = True
        await self._tend(self._delay_s)
        await self._stop_listening(sockets or ())
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._tend(self._settings.timeout_s, until_quiet=True)
        await self._cut()
        await self.lifespan.shutdown()
        logger.info("stopped")
        LATER.settle()  # the process may end at once after this

    @property
    def _delay_s(self) -> float:
        return 0.0 if self.impatient else self._settings.delay_s

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
        metrics: Metrics | None = self.lifespan.state.get(METRICS)
        if metrics is not None:
            metrics.connections.set(len(self.server_state.connections))
            metrics.in_progress.set(len(self.server_state.tasks))
        for connection in list(self.server_state.connections):
            if isinstance(connection, GuardedProtocol):
                connection.check(now)

    async def _stop_listening(self, sockets: Iterable[socket.socket]) -> None:
        """Take in who has connected, and listen no more."""
        loop = asyncio.get_running_loop()
        if self._config.workers == 1:
            for listener in sockets:
                _let_nobody_in(listener)
        waiting = [connection for listener in sockets for connection in _accept_all(listener)]
        for server in self.servers:
            server.close()
        for connection in waiting:
            await loop.connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(_SETTLING_S)  # what has been sent by now is read

    def _protocol(self) -> GuardedProtocol:
        return GuardedProtocol(self._config, self.server_state, self.lifespan.state)

    async def _cut(self) -> None:
        state = self.server_state
        if not state.connections and not state.tasks:
            return
        logger.warning("%d requests are cut off unanswered", len(state.tasks))
        for connection in list(state.connections):
            connection.transport.abort()
        await self._tend(_LAST_WORD_S, until_quiet=True)  # a client has gone: they know what to do
        for task in list(state.tasks):
            task.cancel()

    def _see_to_the_end(self) -> None:
        """However something hangs, a model that is being loaded too, the process ends."""
        self._told.wait()
        if self._stopped.wait(self._delay_s + self._settings.timeout_s + CLOSING_S):
            return
        # What hangs may hold the log: to say so must not be what the end waits for.
        words = "the server did not stop in time"
        saying = threading.Thread(target=logger.error, args=(words,), daemon=True)
        saying.start()
        saying.join(_LAST_WORD_S)
        os._exit(GIVEN_UP)


def _let_nobody_in(listener: socket.socket) -> None:
    """Let nobody connect any more to a socket of this process alone; those who have stay.

    Who connected between the last look at the queue and its end would be cut off. Linux drops what
    a filter (BPF) does not pass; whoever comes now tries once more, a second later, and is refused.
    """
    pass_nothing = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0))
    program = struct.pack("@HP", 1, ctypes.addressof(pass_nothing))
    with contextlib.suppress(OSError):  # not granted: some microseconds remain
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _accept_all(listener: socket.socket) -> Iterator[socket.socket]:
    listener.setblocking(False)
    while True:
        try:
            connection, _ = listener.accept()
        except ConnectionAbortedError:
            continue  # this one has left; others may wait
        except OSError:
            return  # there is nobody more
        connection.setblocking(False)
        yield connection
