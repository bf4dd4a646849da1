"""A stand-in for a cluster: starts here what the chart has Kubernetes start, as it stands."""

import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from tests.deploy.helm import Manifest, environment_of, one_of, pods
from tests.support import COMMAND, eventually

_PORTS = ("VIEWFINDER_PORT", "VIEWFINDER_WORKER__PORT")


@dataclass(frozen=True)
class Cluster:
    """Secrets are those of the chart; a folder stands for each path in a container.

    Attributes:
        manifests: What the chart makes.
        folder: Where everything is.
        port: In place of the one that a container listens on.
    """

    manifests: list[Manifest]
    folder: Path
    port: int

    def environment(self, manifest: Manifest) -> dict[str, str]:
        """The environment of a container, with Secrets put in, and paths of this machine."""
        said = {name: self._value(entry) for name, entry in environment_of(manifest).items()}
        said |= {name: str(self.port) for name in _PORTS if name in said}
        if "VIEWFINDER_HOST" in said:
            assert said["VIEWFINDER_HOST"] == "0.0.0.0"
            said["VIEWFINDER_HOST"] = "127.0.0.1"
        return {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **said}

    def command(self, manifest: Manifest) -> list[str]:
        """What a container runs, with the programs of this machine."""
        ((_, _, pod),) = pods([manifest])
        (container,) = pod["containers"]
        programs = {"viewfinder": COMMAND, "python": sys.executable}
        program, *more = container["command"]
        return [programs[program], *more, *container["args"]]

    def run(self, manifest: Manifest, **also: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        return subprocess.run(
            self.command(manifest),
            env=self.environment(manifest) | also,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=self.folder,
        )

    @contextmanager
    def running(self, manifest: Manifest) -> Iterator[subprocess.Popen[bytes]]:
        """Start it."""
        with (self.folder / "log").open("w+b") as log:
            process = subprocess.Popen(
                self.command(manifest), env=self.environment(manifest), stderr=log, cwd=self.folder
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait(30)

    def probe(self, manifest: Manifest, name: str) -> int | None:
        """What the kubelet sees; None where nobody answers."""
        ((_, _, pod),) = pods([manifest])
        path = pod["containers"][0][name]["httpGet"]["path"]
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except OSError:
            return None
        finally:
            connection.close()

    def await_probe(self, manifest: Manifest, name: str) -> None:
        """Wait until the kubelet would be content, and no longer than it would."""
        ((_, _, pod),) = pods([manifest])
        probe = pod["containers"][0][name]
        patience = probe["periodSeconds"] * probe["failureThreshold"]
        eventually(lambda: self.probe(manifest, name) == HTTPStatus.OK, within=patience)

    def log(self) -> str:
        """What was said so far."""
        return (self.folder / "log").read_text()

    def _value(self, entry: dict[str, Any]) -> str:
        if "valueFrom" in entry:
            reference = entry["valueFrom"]["secretKeyRef"]
            secret = one_of(self.manifests, "Secret", name=reference["name"])
            found: str = secret["stringData"][reference["key"]]
            return found
        value: str = entry["value"]
        if value.startswith("/"):
            path = self.folder / value.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            return str(path)
        return value
