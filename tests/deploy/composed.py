"""Services of `compose.yaml`, run with their own commands on this machine."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.compose import healthcheck, services
from tests.support import COMMAND, environment, eventually, free_port, needs


@dataclass(frozen=True)
class Redis:
    """One of the two.

    Attributes:
        service: What the file says of it.
        port: Where it is.
    """

    service: Mapping[str, object]
    port: int

    def check(self, **changed: str) -> str:
        """What its health check says; some of its environment may be changed."""
        return self.ask(*healthcheck(self.service)[2:], **changed)

    def ask(self, *words: str, **changed: str) -> str:
        """What it says to a command."""
        given = self.service["environment"]
        assert isinstance(given, dict)
        done = subprocess.run(
            [healthcheck(self.service)[1], "-p", str(self.port), *words],
            env={**os.environ, **given, **changed},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()


@contextlib.contextmanager
def running_redis(name: str, folder: Path) -> Iterator[Redis]:
    """Start one; its data, which it does not write, are in the folder."""
    needs("redis-server", met=shutil.which("redis-server") is not None)
    redis = Redis(services()[name], free_port())
    command = redis.service["command"]
    assert isinstance(command, list)
    here = ("--port", str(redis.port), "--bind", "127.0.0.1", "--dir", str(folder))
    with subprocess.Popen([*command, *here], stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: redis.check() == "PONG")
            yield redis
        finally:
            process.kill()


def migrate(home: Path, database: str) -> subprocess.CompletedProcess[str]:
    """What is done once at each start, in a folder that stands in for the volume."""
    service = services()["migrate"]
    return subprocess.run(
        [*service["entrypoint"], *service["command"]],
        cwd=home,
        env={
            **environment(home, DATABASE__URL=database),
            "PATH": f"{Path(COMMAND).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
