"""Several servers and a worker over one database, one Redis and one S3, behind one gateway."""

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.deploy.gateway import Gateway, gateway
from tests.postgres import PostgresServer
from tests.s3 import fake_version, running_s3
from tests.support import (
    COMMAND,
    RedisServer,
    Server,
    environment,
    run_command,
    running_redis,
    serving,
)

from viewfinder.registry.store import open_store

MODEL, VERSIONS = "fake", {1: 16, 2: 4}
"""The model that all have, and how many steps of brightness each version tells apart."""

_BUCKET = "shared"
_SERVERS = 3
_MILLISECONDS = 15


class Fleet:
    """All of it.

    Args:
        folder: Of its own.
        settings: What all processes are started with.
        stack: What ends with it.

    Attributes:
        servers: Those that are alive, by their number; a number is given once.
        workers: All that were started.
        gateway: Before the servers.
        redis: What they share.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], stack: ExitStack) -> None:
        self._folder, self._settings, self._stack = folder, settings, stack
        self._last = 0
        self.servers: dict[int, Server] = {}
        self.workers: list[subprocess.Popen[bytes]] = []
        self.gateway: Gateway
        self.redis: RedisServer

    def start_servers(self, count: int) -> None:
        """Start some more, side by side."""
        numbers = range(self._last + 1, self._last + 1 + count)
        self._last += count
        with ThreadPoolExecutor(count) as threads:
            for number, server in zip(numbers, threads.map(self._start, numbers), strict=True):
                self.servers[number] = server

    def _start(self, number: int) -> Server:
        home = self._folder / f"server-{number}"
        return self._stack.enter_context(
            serving(home, "--threads", "2", **{**self._settings, "DRAIN__DELAY_S": 1})
        )

    def start_worker(self) -> None:
        """Start one more."""
        given = environment(self._folder / f"worker-{len(self.workers)}", **self._settings)
        log = self._stack.enter_context((self._folder / "worker.log").open("ab"))
        worker = subprocess.Popen([COMMAND, "worker"], env=given, stderr=log, stdout=log)
        self.workers.append(worker)
        self._stack.callback(worker.wait, 30)
        self._stack.callback(worker.kill)

    def kill(self, number: int) -> None:
        """End a server where it stands."""
        server = self.servers.pop(number)
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(30)

    def show_gateway_all(self) -> None:
        """Tell the gateway who is there now, as whoever starts replicas would."""
        upstream = self.gateway.folder / "conf.d" / "upstream.conf"
        lines = upstream.read_text().splitlines()
        first = lines.index("    least_conn;") + 1
        kept = [line for line in lines if not line.startswith("    server ")]
        there = [
            f"    server {host}:{port} max_fails=3 fail_timeout=2s;"
            for host, port in (server.address for server in self.servers.values())
        ]
        upstream.write_text("\n".join([*kept[:first], *there, *kept[first:]]) + "\n")
        self.gateway.reload()

    def command(self, *arguments: str) -> str:
        """What `viewfinder` prints with the settings of all."""
        done = run_command(*arguments, home=self._folder / "commands", **self._settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make_key(self, name: str, *options: str) -> str:
        """A new key."""
        return self.command("keys", "create", name, *options)

    def clients(self, key: str) -> list[httpx2.Client]:
        """A client of each server, past the gateway."""
        return [
            self._stack.enter_context(
                httpx2.Client(base_url=server.url, headers=showing(key), trust_env=False)
            )
            for server in self.servers.values()
        ]

    def client(self, key: str, **options: Any) -> httpx2.Client:
        """A client of the gateway."""
        return self._stack.enter_context(self.gateway.client(headers=showing(key), **options))


def showing(key: str) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {key}"}


@contextlib.contextmanager
def running_fleet(folder: Path, postgres: PostgresServer) -> Iterator[Fleet]:
    """Start it, with a model in two versions in its bucket.

    Args:
        folder: Of its own.
        postgres: Where it gets a database.
    """
    with ExitStack() as stack:
        redis = stack.enter_context(running_redis(folder))
        s3 = stack.enter_context(running_s3())
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        s3.request("PUT", _BUCKET)
        store = open_store(f"s3://{_BUCKET}/models", folder / "publisher")
        for version, classes in VERSIONS.items():
            options = {"classes": classes, "milliseconds": _MILLISECONDS}
            store.add(*fake_version(folder, MODEL, version, **options))
        settings = {
            "DATABASE__URL": postgres.new_database(),
            "REDIS_URL": redis.url,
            "CACHE__REDIS_URL": redis.url,
            "BLOBS__URL": f"s3://{_BUCKET}/blobs",
            "MODEL_STORE": f"s3://{_BUCKET}/models",
            "DEFAULT_MODEL": MODEL,
            "STORE_POLL_S": 1,
            "TRUSTED_PROXIES": "127.0.0.1",
            "AUTH__ENABLED": "true",
            "AUTH__REFRESH_S": 0.5,
            "RATE_LIMIT__ENABLED": "true",
            "RATE_LIMIT__REQUESTS": 1_000_000,
            "JOBS__LEASE_S": 2,
        }
        fleet = Fleet(folder, settings, stack)
        fleet.redis = redis
        fleet.command("db", "upgrade")
        fleet.start_worker()
        fleet.start_servers(_SERVERS)
        addresses = [server.address for server in fleet.servers.values()]
        fleet.gateway = stack.enter_context(gateway(addresses))
        yield fleet


def lines_of(text: str) -> list[dict[str, Any]]:
    """What a text of JSON, line by line, says."""
    return [json.loads(line) for line in text.splitlines()]
