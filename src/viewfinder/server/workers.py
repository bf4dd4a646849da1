"""Several server processes behind one socket."""

import logging
import multiprocessing
import os
import signal
import socket
import threading
from functools import cached_property
from multiprocessing.connection import wait

from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from viewfinder.server.config import ServerConfig
from viewfinder.server.drain import DrainingServer

logger = logging.getLogger(__name__)


class Worker(Process):
    """A server process, that does not outlive its supervisor.

    Args:
        config: uvicorn's, and ours.
        sockets: What to listen on.
    """

    def __init__(self, config: ServerConfig, sockets: list[socket.socket]) -> None:
        self._ours = config
        super().__init__(config, sockets)

    @cached_property
    def server(self) -> DrainingServer:
        """The server inside, in the worker's own process."""
        return DrainingServer(self._ours)

    def target(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until told to stop."""
        threading.Thread(target=_stop_when_orphaned, daemon=True).start()
        super().target(sockets)


class Supervisor(Multiprocess):
    """Starts the workers, and brings back those that die.

    Args:
        config: uvicorn's, and ours.
        sockets: What to listen on.
    """

    def __init__(self, config: ServerConfig, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._ours = config

    def _start(self) -> Worker:
        worker = Worker(self._ours, self.sockets)
        worker.start()
        return worker

    def init_processes(self) -> None:
        """Start them all."""
        self.processes = [self._start() for _ in range(self.processes_num)]

    def keep_subprocess_alive(self) -> None:
        """Replace the dead, and those that do not answer."""
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                continue
            process.kill()
            process.join()
            if process.exitcode == STARTUP_FAILURE:
                self.should_exit.set()  # the next one would fail in the same way
                return
            logger.warning("worker %s has died; another takes its place", process.pid)
            self.processes[index] = self._start()

    def terminate_all(self) -> None:
        """Tell the workers to stop, and leave the listening to them."""
        for listener in self.sockets:
            listener.close()
        super().terminate_all()

    def handle_hup(self) -> None:
        """Nothing: models are followed while serving, and settings are read at the start."""

    handle_ttin = handle_ttou = handle_hup


def _stop_when_orphaned() -> None:
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        wait([supervisor.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)
