"""Servers to measure: started, waited for, watched, stopped with all their children."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import IO

import httpx2
import psutil

from benchmarks.harness import ROOT, Failed
from benchmarks.wrk import Body

VIEWFINDER = str(Path(sys.executable).with_name("viewfinder"))
_KEPT = {"HOME", "PATH", "LANG"}
_START_S = 120
_ANSWER_S = 10
_LOOK_S = 0.01
_STOP_S = 30
_LAST_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        port: Where it listens on the loopback address.
        process: Its first process.
        started_s: Seconds from its start until it answered as it was waited for.
    """

    port: int
    process: psutil.Process
    started_s: float = float("nan")

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

    def shared_memory_mb(self) -> float:
        """Memory of the tree, in MB: a page that several processes have counts once."""
        total = 0
        for part in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                memory = part.memory_full_info()
                total += getattr(memory, "pss", memory.rss)
        return total / 1_000_000

    def cpu_seconds(self) -> float:
        """Processor time that the tree has taken."""
        times = [part.cpu_times() for part in self.tree()]
        return sum(time.user + time.system for time in times)


def clean_environment(home: str, **settings: str) -> dict[str, str]:
    """No setting of the person who measures changes what is measured."""
    kept = kept_environment()
    own = {"VIEWFINDER_HOME": home, "XDG_CONFIG_HOME": home}
    # An answer from the cache measures nothing, and the rate limit would refuse the load.
    off = {"VIEWFINDER_CACHE__ENABLED": "false", "VIEWFINDER_RATE_LIMIT__ENABLED": "false"}
    return {**kept, **own, **off, **settings}


def kept_environment() -> dict[str, str]:
    """What any program needs of the environment of the person who measures."""
    return {name: value for name, value in os.environ.items() if name in _KEPT}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def viewfinder(*arguments: str, **settings: str) -> Iterator[Server]:
    """A `viewfinder serve` that is ready, with a data home of its own."""
    with viewfinder_until("/health/ready", None, *arguments, **settings) as server:
        yield server


@contextlib.contextmanager
def viewfinder_until(
    ready: str, body: Body | None, /, *arguments: str, **settings: str
) -> Iterator[Server]:
    """The same, from its first 200 at a path on: see `running`."""
    with (
        tempfile.TemporaryDirectory() as home,
        running(
            [VIEWFINDER, "serve", *arguments],
            ready=ready,
            body=body,
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
    command: Sequence[str],
    *,
    ready: str,
    environment: Mapping[str, str],
    body: Body | None = None,
    port_option: str = "--port",
    stop_s: float = _STOP_S,
) -> Iterator[Server]:
    """A server process, from its first 200 at the path `ready` on.

    Args:
        command: Started with an option and a free port behind it.
        ready: The path to ask.
        environment: All of it.
        body: Posted to that path; without one it is a GET.
        port_option: That option.
        stop_s: How long it may take to end before it is killed.

    Raises:
        Failed: It did not start; with its last words.
    """
    port = free_port()
    with tempfile.TemporaryFile() as words:
        began = time.monotonic()
        popen = subprocess.Popen(
            [*command, port_option, str(port)],
            env=environment,
            cwd=ROOT,
            stdout=words,
            stderr=words,
        )
        server = Server(port, psutil.Process(popen.pid))
        try:
            if not _answers(f"{server.url}{ready}", body, popen):
                raise Failed(f"{' '.join(command)} did not start:\n{_last(words)}")
            yield replace(server, started_s=time.monotonic() - began)
        finally:
            _stop(popen, server.tree() if popen.poll() is None else [], stop_s)


def _answers(url: str, body: Body | None, popen: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_S
    with httpx2.Client(timeout=_ANSWER_S, trust_env=False) as client:
        while time.monotonic() < deadline and popen.poll() is None:
            with contextlib.suppress(httpx2.TransportError):
                if _ask(client, url, body).status_code == HTTPStatus.OK:
                    return True
            time.sleep(_LOOK_S)
    return False


def _ask(client: httpx2.Client, url: str, body: Body | None) -> httpx2.Response:
    if body is None:
        return client.get(url)
    return client.post(url, content=body.content, headers=body.all_headers)


def _last(words: IO[bytes]) -> str:
    words.seek(0)
    return words.read()[-_LAST_WORDS:].decode(errors="replace")


def _stop(popen: subprocess.Popen[bytes], tree: list[psutil.Process], seconds: float) -> None:
    popen.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        popen.wait(seconds)
    # Not every server ends its workers when it is told to end.
    for part in tree:
        with contextlib.suppress(psutil.NoSuchProcess):
            part.kill()
    popen.wait()
