"""What the benchmarks share: real photos, a real server process, real load, medians."""

import contextlib
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx2

from viewfinder import __version__
from viewfinder.settings import available_cores

ROOT = Path(__file__).parents[1]
PHOTOS = sorted((ROOT / "examples" / "photos").glob("*.jpg"))
RESULTS = ROOT / "benchmarks" / "results"
VIEWFINDER = str(Path(sys.executable).with_name("viewfinder"))
_KEPT = {"HOME", "PATH", "LANG"}


def median(numbers: Sequence[float]) -> float:
    """The middle one: the machine is noisy."""
    return statistics.median(numbers)


def machine() -> dict[str, Any]:
    """What a figure depends on."""
    model = "unknown processor"
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    return {
        "processor": model,
        "cores": available_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "viewfinder": __version__,
    }


def clean_environment(home: str) -> dict[str, str]:
    """No setting of the person who measures changes what is measured."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT}
    return {**kept, "VIEWFINDER_HOME": home, "XDG_CONFIG_HOME": home}


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def server(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A `viewfinder serve` process that has answered its first health check."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [VIEWFINDER, "serve", "--port", str(port), *arguments],
            env=clean_environment(home),
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(f"{address}/health/ready", process)
            yield address, process
        finally:
            process.terminate()
            process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Ask until the answer is 200."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(url, timeout=5, trust_env=False).status_code == HTTPStatus.OK:
                return
        time.sleep(0.01)
    sys.exit("the server did not start")


def multipart(photo: bytes) -> tuple[bytes, str]:
    """A form with the photo as its file, and the content type that goes with it."""
    boundary = "viewfinder-benchmark"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"


def wrk(url: str, bodies: list[tuple[bytes, str]], *, connections: int, seconds: int) -> float:
    """Requests per second with that many connections, each posting the bodies in turn."""
    if shutil.which("wrk") is None:
        sys.exit("this benchmark needs wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as scratch:
        lines = ["requests, turn = {}, 0"]
        for number, (body, content_type) in enumerate(bodies):
            path = Path(scratch) / f"{number}.body"
            path.write_bytes(body)
            lines += [
                f'local file = io.open("{path}", "rb")',
                f'table.insert(requests, {{file:read("*all"), "{content_type}"}})',
                "file:close()",
            ]
        lines += [
            "function request()",
            "  turn = turn % #requests + 1",
            "  local body, kind = requests[turn][1], requests[turn][2]",
            '  return wrk.format("POST", nil, {["Content-Type"] = kind}, body)',
            "end",
        ]
        script = Path(scratch) / "post.lua"
        script.write_text("\n".join(lines))
        report = subprocess.run(
            [
                "wrk",
                "-t1",
                f"-c{connections}",
                f"-d{seconds}s",
                "--timeout",
                "10s",
                "-s",
                str(script),
                url,
            ],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        sys.exit(f"the server did not answer every request:\n{report}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", report)
    if found is None:
        sys.exit(f"wrk said something unexpected:\n{report}")
    return float(found[1])


def save(name: str, result: dict[str, Any]) -> None:
    """Write a result with the machine it was measured on."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"machine": machine(), **result}, indent=2) + "\n")
    print(f"written to {path.relative_to(ROOT)}")
