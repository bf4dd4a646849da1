"""Servers to measure: started, waited for, watched, stopped with all their children."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO

import httpx2
import psutil

from benchmarks.harness import ROOT

VIEWFINDER = str(Path(sys.executable).with_name("viewfinder"))
_KEPT = {"HOME", "PATH", "LANG"}
_START_S = 120
_STOP_S = 30
_LAST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        port: Where it listens on the loopback address.
        process: Its first process.
    """

    port: int
    process: psutil.Process

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"

    def tree(self) -> list[psutil.Process]:
        """Its process and all below it."""
        return [self.process, *self.process.children(recursive=True)]

    def memory_mb(self) -> float:
        """Resident memory of the tree, in MB."""
        return sum(part.memory_info().rss for part in self.tree()) / 1_000_000

    def cpu_seconds(self) -> float:
        """Processor time that the tree has taken."""
        times = [part.cpu_times() for part in self.tree()]
        return sum(time.user + time.system for time in times)


def clean_environment(home: str, **settings: str) -> dict[str, str]:
    """No setting of the person who measures changes what is measured."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    own = {"VIEWFINDER_HOME": home, "XDG_CONFIG_HOME": home}
    # An answer from the cache measures nothing, and the rate limit would refuse the load.
    off = {"VIEWFINDER_CACHE__ENABLED": "false", "VIEWFINDER_RATE_LIMIT__ENABLED": "false"}
    return {**kept, **own, **off, **settings}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def viewfinder(*arguments: str, **settings: str) -> Iterator[Server]:
    """A `viewfinder serve` that is ready, with a data home of its own."""
    with (
        tempfile.TemporaryDirectory() as home,
        running(
            [VIEWFINDER, "serve", *arguments],
            ready="/health/ready",
            environment=clean_environment(home, **settings),
        ) as server,
    ):
        yield server


@contextlib.contextmanager
def module(name: str, *arguments: str, ready: str) -> Iterator[Server]:
    """A server that is a module of these benchmarks, ready."""
    with (
        tempfile.TemporaryDirectory() as home,
        running(
            [sys.executable, "-m", f"benchmarks.{name}", *arguments],
            ready=ready,
            environment=clean_environment(home),
        ) as server,
    ):
        yield server


@contextlib.contextmanager
def running(
    command: Sequence[str], *, ready: str, environment: Mapping[str, str]
) -> Iterator[Server]:
    """A server process, from its first 200 at the path `ready` on.

    Args:
        command: Started with `--port` and a free port behind it.
        ready: The path to ask.
        environment: All of it.
    """
    port = free_port()
    with tempfile.TemporaryFile() as words:
        popen = subprocess.Popen(
            [*command, "--port", str(port)],
            env=environment,
            cwd=ROOT,
            stdout=words,
            stderr=words,
        )
        server = Server(port, psutil.Process(popen.pid))
        try:
            if not _answers(f"{server.url}{ready}", popen):
                sys.exit(f"{' '.join(command)} did not start:\n{_last(words)}")
            yield server
        finally:
            _stop(popen, server.tree() if popen.poll() is None else [])


def _answers(url: str, popen: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and popen.poll() is None:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(url, timeout=5, trust_env=False).status_code == HTTPStatus.OK:
                return True
        time.sleep(0.01)
    return False


def _last(words: IO[bytes]) -> str:
    words.seek(0)
    return words.read()[-_LAST_WORDS:].decode(errors="replace")


def _stop(popen: subprocess.Popen[bytes], tree: list[psutil.Process]) -> None:
    popen.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        popen.wait(_STOP_S)
    # Not every server ends its workers when it is told to end.
    for part in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            part.kill()
    popen.wait()
