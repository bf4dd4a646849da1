"""Several server processes behind one socket."""

import logging
import multiprocessing
import os
import pickle
import signal
import socket
import threading
import time
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from types import FrameType
from typing import TYPE_CHECKING, cast

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from viewfinder.server.config import ServerConfig
from viewfinder.server.drain import CLOSING_S, GIVEN_UP, DrainingServer
from viewfinder.telemetry.cells import Place
from viewfinder.telemetry.folder import CountingFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI

logger = logging.getLogger(__name__)
_ENDS = (signal.SIGINT, signal.SIGTERM)
_LOOK_S = 0.1
# Between the deaths of a worker that never gets to serve, and its next start.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 30.0


class WorkerServer(DrainingServer):
    """Ctrl-C reaches the workers and their supervisor, who says when it is time to stop.

    While the supervisor still holds the socket, clients go on to connect, and somebody must answer.
    """

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop, on SIGTERM."""
        if sig != signal.SIGINT:
            super().handle_exit(sig, frame)
        elif self.impatient or self.should_exit:
            os._exit(GIVEN_UP)
        else:
            self.impatient = True


class Worker(Process):
    """A server process, that does not outlive its supervisor.

    Args:
        config: uvicorn's, and ours.
        sockets: What to listen on.
        place: Where it counts what it does; None where it does so for itself alone.

    Attributes:
        has_served: Whether it has ever said that it serves.
    """

    def __init__(
        self, config: ServerConfig, sockets: list[socket.socket], place: Place | None
    ) -> None:
        self._ours = config
        self._place = place
        self._asked: float | None = None
        self.has_served = False
        super().__init__(config, sockets)

    @cached_property
    def server(self) -> WorkerServer:
        """The server inside, in the worker's own process."""
        return WorkerServer(self._ours)

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        # As in `viewfinder serve`: before and after the server runs there is nothing to put away.
        for number in _ENDS:
            signal.signal(number, lambda *_: os._exit(0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        threading.Thread(target=stop_when_orphaned, daemon=True).start()
        self._ours.app = partial(cast("Callable[..., FastAPI]", self._ours.app), place=self._place)
        super().target(sockets)

    def is_alive(self, timeout: float = 5) -> bool:
        """Whether it has answered within so many seconds. Does not wait: others may be dead."""
        if not self.process.is_alive():
            return False
        now = time.monotonic()
        try:
            if self._asked is not None and self.parent_conn.poll():
                self.has_served = bool(self.parent_conn.recv())
                self._asked = None
            if self._asked is None:
                self.parent_conn.send(b"ping")
                self._asked = now
        except (OSError, EOFError, pickle.UnpicklingError):
            return False
        return now - self._asked <= timeout


@dataclass
class _Place:
    """One of the workers that there should be.

    Attributes:
        worker: The last one in it.
        number: Of the place, from 0 on.
        pause_s: How long the place was empty the last time.
        again_at: When the next one starts; none while there is one.
    """

    worker: Worker
    number: int
    pause_s: float = 0.0
    again_at: float | None = None


def _longer(pause_s: float) -> float:
    return min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, 2 * pause_s))


class Supervisor(Multiprocess):
    """Starts the workers, and brings back those that die.

    Args:
        config: uvicorn's, and ours.
        sockets: What to listen on.

    Attributes:
        failed: Whether it ended because no worker could start.
    """

    def __init__(self, config: ServerConfig, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._ours = config
        self._places: list[_Place] = []
        self._have_served = False
        self._folder: CountingFolder | None = None
        self.failed = False

    def run(self) -> None:
        """Serve until told to stop, and stop."""
        self._folder = CountingFolder.make()
        try:
            super().run()
        finally:
            self._tidy()

    def _tidy(self) -> None:
        if self._folder is not None:
            self._folder.remove()

    def _start(self, number: int) -> Worker:
        place = None if self._folder is None else Place(self._folder.path, number)
        worker = Worker(self._ours, self.sockets, place)
        resource_tracker.ensure_running()  # it would unblock the signals when it starts
        # What comes while the interpreter starts waits, and raises nothing there.
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
        try:
            worker.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDS)
        return worker

    def init_processes(self) -> None:
        """Start them all."""
        self._places = [_Place(self._start(n), n) for n in range(self.processes_num)]
        self.processes = [place.worker for place in self._places]

    def keep_subprocess_alive(self) -> None:
        """Replace the dead, and those that do not answer."""
        now = time.monotonic()
        for index, place in enumerate(self._places):
            if self.should_exit.is_set():
                return
            if place.worker.is_alive(timeout=self.config.timeout_worker_healthcheck):
                self._have_served = self._have_served or place.worker.has_served
            elif place.again_at is None:
                self._bury(place, now)
            elif now >= place.again_at:
                place.worker, place.again_at = self._start(place.number), None
                self.processes[index] = place.worker

    def _bury(self, place: "_Place", now: float) -> None:
        worker = place.worker
        worker.kill()
        worker.join()
        if worker.exitcode == STARTUP_FAILURE and not self._have_served:
            self.failed = True  # the next one would fail in the same way
            self.should_exit.set()
            return
        logger.warning("worker %s has died; another takes its place", worker.pid)
        place.pause_s = 0.0 if worker.has_served else _longer(place.pause_s)
        place.again_at = now + place.pause_s

    def terminate_all(self) -> None:
        """Tell the workers to stop, and leave the listening to them."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def join_all(self) -> None:
        """Wait until they have ended; those that hang are killed."""
        drain = self._ours.drain
        end = time.monotonic() + drain.delay_s + drain.timeout_s + 2 * CLOSING_S
        while any(process.exitcode is None for process in self.processes):
            # A second Ctrl-C is for those who do not want to wait.
            if time.monotonic() > end or signal.SIGINT in self.signal_queue:
                for process in self.processes:
                    process.kill()
                self._tidy()
                os._exit(GIVEN_UP)
            time.sleep(_LOOK_S)

    def handle_hup(self) -> None:
        """Nothing: models are followed while serving, and settings are read at the start."""

    handle_ttin = handle_ttou = handle_hup


def stop_when_orphaned() -> None:
    """Wait for the end of the process that started this one, and stop."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        wait([supervisor.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
