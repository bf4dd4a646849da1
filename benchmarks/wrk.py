"""Closed-loop load from wrk: each connection asks again as soon as it is answered."""

import contextlib
import json
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import httpx2

from benchmarks.harness import Failed

_LONGEST_S = 3600
_SCRIPT = """
local made, turn = {}, 0

-- Requests are made once: the client takes its processor time from the server's cores.
function init()
  for _, body in ipairs(bodies) do
    local file = io.open(body[1], "rb")
    table.insert(made, wrk.format("POST", nil, body[2], file:read("*all")))
    file:close()
  end
end

function request()
  turn = turn % #made + 1
  return made[turn]
end

function done(summary, latency)
  local errors = summary.errors
  io.write("\\n", string.format(
    '{"requests": %d, "micros": %d, "refused": %d, "broken": %d, "micros_at": [%f, %f, %f]}',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(95), latency:percentile(99)), "\\n")
end
"""


class Body(NamedTuple):
    """What is posted.

    Attributes:
        content: The body.
        content_type: What it is.
        headers: Others than its type.
    """

    content: bytes
    content_type: str
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def all_headers(self) -> dict[str, str]:
        """With its type."""
        return {"Content-Type": self.content_type, **dict(self.headers)}


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk saw.

    Attributes:
        rate: Answers per second.
        p50: Milliseconds; so are the others.
        p95: See `p50`.
        p99: See `p50`.
        errors: Answers other than 2xx and 3xx, connections that failed, time-outs.
        client_cores: Cores that wrk itself was busy with.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    errors: int
    client_cores: float


def multipart(photo: bytes) -> Body:
    """A form with the photo as its file."""
    boundary = "viewfinder-benchmark"
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + photo + f"\r\n--{boundary}--\r\n".encode()
    return Body(body, f"multipart/form-data; boundary={boundary}")


def raw(photo: bytes) -> Body:
    """The photo itself."""
    return Body(photo, "image/jpeg")


def wrk(url: str, bodies: Sequence[Body], *, connections: int, seconds: int) -> Load:
    """Post the bodies in turn for some seconds. Ends the benchmark at any error."""
    with wrk_beside(url, bodies, connections=connections, seconds=seconds) as load:
        pass
    settle(url, bodies[0])
    if load[0].errors:
        raise Failed(f"{load[0].errors} requests to {url} failed: this is no measurement")
    return load[0]


def settle(url: str, body: Body) -> None:
    """Wait until a server has worked off what the connections of a load left behind.

    Otherwise the next one who asks waits for it, half a second after 64 connections.
    """
    httpx2.post(url, content=body.content, headers=body.all_headers, timeout=60, trust_env=False)


@contextlib.contextmanager
def wrk_beside(
    url: str, bodies: Sequence[Body], *, connections: int, seconds: int | None = None
) -> Iterator[list[Load]]:
    """Load while the block runs, or for some seconds: then the list holds what wrk saw."""
    if shutil.which("wrk") is None:
        sys.exit("this benchmark needs wrk: apt-get install wrk")
    before = _children_seconds()
    load: list[Load] = []
    with tempfile.TemporaryDirectory() as scratch:
        options = ["-t1", f"-c{connections}", f"-d{seconds or _LONGEST_S}s", "--timeout", "10s"]
        popen = subprocess.Popen(
            ["wrk", *options, "-s", _script(Path(scratch), bodies), url],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield load
        finally:
            if seconds is None:
                popen.send_signal(signal.SIGINT)
            report, _ = popen.communicate()
    if popen.returncode:
        raise Failed(f"wrk failed:\n{report}")
    load.append(_read(report, _children_seconds() - before))


def _script(scratch: Path, bodies: Sequence[Body]) -> str:
    lines = ["local bodies = {"]
    for number, body in enumerate(bodies):
        path = scratch / f"{number}.body"
        path.write_bytes(body.content)
        headers = ", ".join(f'["{name}"] = "{value}"' for name, value in body.all_headers.items())
        lines.append(f'  {{"{path}", {{{headers}}}}},')
    script = scratch / "post.lua"
    script.write_text("\n".join([*lines, "}", _SCRIPT]))
    return str(script)


def _children_seconds() -> float:
    """Processor time of children that have ended: wrk's, as servers are still running."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(report: str, cpu_seconds: float) -> Load:
    try:
        seen = json.loads(report.splitlines()[-1])
    except (IndexError, ValueError):
        raise Failed(f"wrk said something unexpected:\n{report}") from None
    seconds = seen["micros"] / 1_000_000
    if not seen["requests"]:
        raise Failed(f"no request was answered:\n{report}")
    p50, p95, p99 = (micros / 1000 for micros in seen["micros_at"])
    return Load(
        rate=seen["requests"] / seconds,
        p50=p50,
        p95=p95,
        p99=p99,
        errors=seen["refused"] + seen["broken"],
        client_cores=cpu_seconds / seconds,
    )
