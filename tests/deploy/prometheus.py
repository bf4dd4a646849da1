"""A real Prometheus, and its promtool."""

import contextlib
import math
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from tests.support import ROOT, eventually, free_port, needs

GRAFANA = ROOT / "deploy" / "grafana"
RULES = GRAFANA / "viewfinder.rules.yml"


def promtool(*arguments: str | Path, text: str | None = None) -> str:
    """What promtool says to something that it has nothing against."""
    needs_prometheus()
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=text, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def needs_prometheus() -> None:
    """Skip a test where there is none."""
    met = all(shutil.which(name) is not None for name in ("prometheus", "promtool"))
    needs("prometheus (apt-get install prometheus)", met=met)


class Prometheus:
    """One that runs.

    Args:
        port: Where it listens, on this machine.

    Attributes:
        at: The moment that is asked about; None is now.
    """

    def __init__(self, port: int) -> None:
        self.at: float | None = None
        self._http = httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False)

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""
        with contextlib.suppress(httpx2.TransportError):
            return self._http.get("/-/ready").status_code == 200
        return False

    def ask(self, what: str, **query: str) -> Any:
        """What its API answers: `query`, `targets`, `rules`, `alerts`."""
        answer = self._http.get(f"/api/v1/{what}", params=query).json()
        assert answer["status"] == "success", (query, answer)
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is: its series, each with `metric` and `value`."""
        when = {} if self.at is None else {"time": repr(self.at)}
        found: list[dict[str, Any]] = self.ask("query", query=expression, **when)["result"]
        return found

    def values(self, expression: str) -> list[float]:
        """The values of all series; without those that are no number."""
        values = [float(series["value"][1]) for series in self.query(expression)]
        return [value for value in values if not math.isnan(value)]

    def value(self, expression: str) -> float:
        """The value of an expression of one series; 0 where there is none."""
        return next(iter(self.values(expression)), 0.0)

    def stop_at(self, *expressions: str) -> None:
        """Ask from now on about a moment at which each of these is true of something.

        Whether later scrapes come in time makes no difference then.
        """

        def is_true() -> bool:
            time.sleep(0.1)  # it reads once a second: to ask it more often only takes its time
            self.at = time.time()
            return all(self.values(expression) for expression in expressions)

        self.at = None
        eventually(is_true, within=60)

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()


@contextlib.contextmanager
def running_prometheus(config: Path) -> Iterator[Prometheus]:
    """Start one with that configuration; its data are beside it."""
    needs_prometheus()
    port = free_port()
    options = {
        "config.file": config,
        "storage.tsdb.path": config.parent / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "log.level": "warn",
    }
    log = config.parent / "prometheus.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            ["prometheus", *(f"--{name}={value}" for name, value in options.items())], stderr=file
        )
    prometheus = Prometheus(port)
    try:
        eventually(lambda: prometheus.is_ready or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield prometheus
    finally:
        prometheus.close()
        process.kill()
        process.wait(30)
