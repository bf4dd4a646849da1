"""HTTP servers under the application: `viewfinder serve`, uvicorn as it comes, granian.

    python -m benchmarks.servers [--seconds 5] [--rounds 3] [--only NAME ...] [--quick]

Hostile clients over raw sockets, clients that leave while they wait, the drain after SIGTERM, a
worker and then the supervisor killed, and throughput in alternating rounds. granian is given its
strictest options. It is no dependency of Viewfinder: `uv sync --group bench` installs it.
"""

import argparse
import contextlib
import importlib.metadata
import io
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2
import psutil
from PIL import Image

from benchmarks.harness import Figure, median, parse, parser, photos, save
from benchmarks.hostile import attack_all, idle_connections, is_alive
from benchmarks.processes import Server, clean_environment, running, viewfinder
from benchmarks.stores import publish_fake
from benchmarks.wrk import Body, raw, settle, wrk

_GRANIAN = str(Path(sys.executable).with_name("granian"))
_GRANIAN_OPTIONS = [
    *("--factory", "viewfinder.app:create_app", "--interface", "asgi", "--loop", "asyncio"),
    *("--http", "1", "--no-ws", "--log-level", "error"),
    *("--backlog", "2048", "--backpressure", "2048"),
    *("--http1-header-read-timeout", "10000", "--http1-buffer-size", "65536"),
    *("--respawn-failed-workers", "--respawn-interval", "1", "--workers-lifetime", "86400"),
    *("--workers-kill-timeout", "25"),
]
_UVICORN_OPTIONS = [
    *("viewfinder.app:create_app", "--factory", "--loop", "asyncio", "--http", "httptools"),
    *("--ws", "none", "--no-access-log", "--log-level", "error"),
    *("--timeout-graceful-shutdown", "25"),
]
_CONNECTIONS = 8
_WARM_UP_S = 2
_QUEUED = 20
_SLOW_MS, _DRAIN_MS, _BRISK_MS = 500, 200, 20
_LONGEST_S = 60
_ORPHANS_S = 5
_PARTS = ("hostile", "leaving", "drain", "kill", "throughput")


Start = Callable[..., AbstractContextManager[Server]]
"""Starts a server with a number of workers, and settings in its environment."""


@contextlib.contextmanager
def ours(workers: int = 1, **settings: str) -> Iterator[Server]:
    """`viewfinder serve`: uvicorn with limits on every phase of a connection."""
    with viewfinder("--workers", str(workers), **settings) as server:
        yield server


@contextlib.contextmanager
def uvicorn(workers: int = 1, **settings: str) -> Iterator[Server]:
    """As it comes, with the same loop and parser."""
    with (
        tempfile.TemporaryDirectory() as home,
        running(
            [sys.executable, "-m", "uvicorn", *_UVICORN_OPTIONS, "--workers", str(workers)],
            ready="/health/ready",
            environment=clean_environment(home, VIEWFINDER_WORKERS=str(workers), **settings),
        ) as server,
    ):
        yield server


@contextlib.contextmanager
def granian(workers: int = 1, **settings: str) -> Iterator[Server]:
    """The same application, with the same settings."""
    with (
        tempfile.TemporaryDirectory() as home,
        running(
            [_GRANIAN, *_GRANIAN_OPTIONS, "--workers", str(workers)],
            ready="/health/ready",
            environment=clean_environment(home, VIEWFINDER_WORKERS=str(workers), **settings),
        ) as server,
    ):
        yield server


_SERVERS: dict[str, Start] = {"viewfinder": ours, "uvicorn": uvicorn, "granian": granian}


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__, seconds=(5, 1), rounds=(3, 1))
    made.add_argument("--only", nargs="+", choices=_PARTS, default=_PARTS, help="parts to run")
    arguments = parse(made)
    if not Path(_GRANIAN).exists():
        sys.exit("this benchmark needs granian: uv sync --group bench")
    each: dict[str, Callable[[Start], dict[str, Any]]] = {
        "hostile": hostile,
        "leaving": leaving,
        "drain": drain,
        "kill": kill,
    }
    found: dict[str, Any] = {
        "versions": {name: importlib.metadata.version(name) for name in _SERVERS}
    }
    for part, measure in each.items():
        if part in arguments.only:
            found[part] = {name: measure(start) for name, start in _SERVERS.items()}
            tell(part, found[part])
    figures: list[Figure] = []
    if "throughput" in arguments.only:
        figures, found["rounds"] = throughput(arguments)
    save("servers", figures, **found)


def tell(part: str, by_server: dict[str, dict[str, Any]]) -> None:
    """Print what each server did, side by side."""
    print(f"\n{part:48}" + "".join(f"{name:58}" for name in by_server))
    for row in next(iter(by_server.values())):
        cells = [_cell(seen.get(row)) for seen in by_server.values()]
        print(f"{row:48}" + "".join(f"{cell:58}" for cell in cells), flush=True)


def _cell(value: Any) -> str:
    if isinstance(value, dict) and "told" in value:
        return str(value["told"])
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def hostile(start: Start) -> dict[str, Any]:
    """Every attack, and a thousand connections that say nothing."""
    with start() as server:
        settle(f"{server.url}/v1/classify", raw(photos()[0]))
        seen: dict[str, Any] = {
            outcome.name: {**asdict(outcome), "told": outcome.told()}
            for outcome in attack_all(server)
        }
    with start() as server:
        idle = idle_connections(server)
        waited = "not answered" if idle.answered_ms is None else f"{idle.answered_ms:.0f} ms"
        told = f"another client: {waited}; {idle.closed} closed, +{idle.growth_mb:.0f} MB"
        seen["1,000 idle connections"] = {**asdict(idle), "told": told}
    return seen


def leaving(start: Start) -> dict[str, Any]:
    """Photos that are worked on although those who asked have gone, by how they went.

    Where nobody goes, all of them: a figure of 0 elsewhere is then one.
    """

    def stay(connection: socket.socket) -> None:
        """Do nothing."""

    def half_close(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_WR)

    def reset(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()

    ways = {
        "nobody leaves": stay,
        "close": socket.socket.close,
        "reset": reset,
        "half-close": half_close,
    }
    with _fake(start, _SLOW_MS) as server:
        return {
            f"worked on before it is one's turn: {way}": _worked_for_nobody(server, leave)
            for way, leave in ways.items()
        }


def _worked_for_nobody(server: Server, leave: Callable[[socket.socket], None]) -> int:
    """How many engine times the next client waits that it should not."""
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(_asking(server, shade)) for shade in range(_QUEUED + 1)]
        time.sleep(_SLOW_MS / 1000 / 2)  # all have been read, and the first is in the engine
        for connection in connections[1:]:
            leave(connection)
        began = time.monotonic()
        _post(server.url, _grey(255))
        waited = time.monotonic() - began
        # The one in the engine when they left, and its own.
        return max(0, round(waited * 1000 / _SLOW_MS - 1.5))


def drain(start: Start) -> dict[str, Any]:
    """SIGTERM with work in hand, without and with an upload that has stalled."""
    return {
        f"{name}: {what}": value
        for name, stalled in (("alone", False), ("beside a stalled upload", True))
        for what, value in _drain(start, stalled=stalled).items()
    }


def _drain(start: Start, *, stalled: bool) -> dict[str, Any]:
    with _fake(start, _DRAIN_MS) as server, contextlib.ExitStack() as held:
        if stalled:
            upload = held.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=_LONGEST_S)
            )
            upload.sendall(_head(1000) + b"x")
        connections = [held.enter_context(_asking(server, shade)) for shade in range(_QUEUED)]
        time.sleep(_DRAIN_MS / 1000)
        began = time.monotonic()
        server.process.terminate()
        time.sleep(_DRAIN_MS / 1000)
        newcomer = is_alive(server)
        with ThreadPoolExecutor(_QUEUED) as pool:
            answers = Counter(pool.map(_status, connections))
        try:
            status: object = server.process.wait(_LONGEST_S)
        except psutil.TimeoutExpired:
            status = "still there"
        return {
            "answered": answers[HTTPStatus.OK],
            "seconds to exit": time.monotonic() - began,
            "exit status": status,
            "a newcomer is answered": newcomer,
        }


def kill(start: Start) -> dict[str, Any]:
    """SIGKILL to one of two workers under load, then to the supervisor."""
    with _fake(start, _BRISK_MS, workers=2) as server:
        with _load(server) as outcomes:
            time.sleep(1)
            before = {worker.pid for worker in _workers(server)}
            outcomes.clear()
            _workers(server)[0].kill()
            began = time.monotonic()
            _wait_for(lambda: bool({worker.pid for worker in _workers(server)} - before))
            started = time.monotonic() - began
            _wait_for(partial(_newcomer_serves, server, before))
            serves = time.monotonic() - began
            time.sleep(1)
        seen: dict[str, Any] = {
            "another is started, s": started,
            "it serves, s": serves,
            "clients meanwhile": dict(outcomes),
        }
        orphans = _workers(server)
        server.process.kill()
        time.sleep(_ORPHANS_S)
        seen["orphans serve on"] = is_alive(server)
        for orphan in orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan.kill()
    return seen


def _workers(server: Server) -> list[psutil.Process]:
    """The processes below the first one that serve."""
    found = []
    for child in server.process.children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE and not any(
                "resource_tracker" in word for word in child.cmdline()
            ):
                found.append(child)
    return found


def _newcomer_serves(server: Server, before: set[int]) -> bool:
    for worker in _workers(server):
        if worker.pid not in before:
            with contextlib.suppress(psutil.NoSuchProcess):
                return any(
                    connection.status == psutil.CONN_ESTABLISHED
                    and connection.laddr.port == server.port
                    for connection in worker.net_connections("tcp")
                )
    return False


def _wait_for(happened: Callable[[], bool]) -> None:
    """Until it happens, or for a minute."""
    last = time.monotonic() + _LONGEST_S
    while not happened() and time.monotonic() < last:
        time.sleep(0.02)


@contextlib.contextmanager
def _load(server: Server) -> Iterator[Counter[str]]:
    """Clients that ask again and again, each time on a new connection; what became of it."""
    outcomes: Counter[str] = Counter()
    done = threading.Event()

    def ask(number: int) -> None:
        while not done.is_set():
            try:
                with _asking(server, number) as connection:
                    outcomes[str(_status(connection) or "cut off")] += 1
            except OSError as error:
                outcomes[type(error).__name__] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    try:
        yield outcomes
    finally:
        done.set()
        for thread in threads:
            thread.join()


def throughput(
    arguments: argparse.Namespace,
) -> tuple[list[Figure], dict[str, dict[str, list[dict[str, float]]]]]:
    """The servers in turn, in every round in the other order, those that are not asked idle.

    The processor time of a request says more than the rate where others use the machine.
    """
    bodies = [raw(photo) for photo in photos()]
    seen: dict[str, dict[str, list[dict[str, float]]]] = {}
    with contextlib.ExitStack() as running_servers:
        servers = {name: running_servers.enter_context(start()) for name, start in _SERVERS.items()}
        for server in servers.values():
            _photo_rate(bodies, server, _WARM_UP_S)
        for number in range(arguments.rounds):
            for name in sorted(servers, reverse=bool(number % 2)):
                loads: dict[str, Callable[[Server, int], float]] = {
                    "raw photo": partial(_photo_rate, bodies),
                    "/health": _health_rate,
                }
                for what, load in loads.items():
                    used = servers[name].cpu_seconds()
                    rate = load(servers[name], arguments.seconds)
                    used = servers[name].cpu_seconds() - used
                    cost = used * 1000 / (rate * arguments.seconds)
                    one = {"per second": rate, "processor ms each": cost}
                    seen.setdefault(what, {}).setdefault(name, []).append(one)
    return [
        Figure(
            f"{what}, {unit}, {name} to uvicorn",
            median([one[unit] for one in by_server[name]])
            / median([one[unit] for one in by_server["uvicorn"]]),
        )
        for what, by_server in seen.items()
        for name in ("viewfinder", "granian")
        for unit in ("per second", "processor ms each")
    ], seen


def _photo_rate(bodies: list[Body], server: Server, seconds: int) -> float:
    url = f"{server.url}/v1/classify"
    settle(url, bodies[0])
    return wrk(url, bodies, connections=_CONNECTIONS, seconds=seconds).rate


def _health_rate(server: Server, seconds: int) -> float:
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", f"{server.url}/health"]
    report = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        sys.exit(f"requests failed: this is no measurement\n{report}")
    return float(report.split("Requests/sec:")[1].split()[0])


@contextlib.contextmanager
def _fake(start: Start, milliseconds: int, *, workers: int = 1) -> Iterator[Server]:
    """A server with a model that takes that long, and one thread in each process."""
    with tempfile.TemporaryDirectory() as folder:
        publish_fake(Path(folder), "fake", milliseconds=milliseconds)
        settings = {
            "VIEWFINDER_MODEL_STORE": folder,
            "VIEWFINDER_DEFAULT_MODEL": "fake",
            "VIEWFINDER_THREADS": "1",
        }
        with start(workers, **settings) as server:
            yield server


def _asking(server: Server, shade: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=_LONGEST_S)
    photo = _grey(shade)
    connection.sendall(_head(len(photo)) + photo)
    return connection


def _head(length: int) -> bytes:
    return (
        "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def _grey(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (32, 32), shade).save(file, "PNG")
    return file.getvalue()


def _post(url: str, photo: bytes) -> int:
    headers = {"Content-Type": "image/png"}
    return httpx2.post(
        f"{url}/v1/classify", content=photo, headers=headers, timeout=_LONGEST_S, trust_env=False
    ).status_code


def _status(connection: socket.socket) -> int:
    """Of the answer on a connection; 0 where there is none."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(connection.recv(65536).split()[1])
    return 0


if __name__ == "__main__":
    main()
