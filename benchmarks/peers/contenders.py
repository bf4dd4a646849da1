"""Who is measured: how each is started and asked, and where its answer names the class."""

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx2
import psutil

from benchmarks.environments import environment, pinned
from benchmarks.harness import photos
from benchmarks.peers import triton
from benchmarks.processes import Server, kept_environment, running, viewfinder_until
from benchmarks.wrk import Body, multipart, raw
from viewfinder import __version__
from viewfinder.shared.machine import available_cores

DEADLINE_MS = 1000
_STOP_S = 10
# Nobody is told that a benchmark ran.
_SILENT = {"BENTOML_DO_NOT_TRACK": "true", "RAY_USAGE_STATS_ENABLED": "0"}
_LENGTH = "Inference-Header-Content-Length"


@dataclass(frozen=True, slots=True)
class Contender:
    """A server and the ways to ask it.

    Attributes:
        name: In the tables.
        version: Of the server.
        start: Starts it; it has answered a photo then.
        path: Where it takes photos.
        ways: What is posted for a photo, by the name of the way; the quickest comes first.
        top: The class in an answer.
        deadline: Headers that tell it how long a client waits, where it knows such.
        peer: The name of its environment; None for Viewfinder's own.
    """

    name: str
    version: str
    start: Callable[[], AbstractContextManager[Server]]
    path: str
    ways: dict[str, Callable[[bytes], Body]]
    top: Callable[[httpx2.Response], str]
    deadline: Mapping[str, str] = field(default_factory=dict)
    peer: str | None = None

    @property
    def way(self) -> Callable[[bytes], Body]:
        """The quickest."""
        return next(iter(self.ways.values()))


def ours() -> Contender:
    """Viewfinder as it comes."""
    path = "/v1/classify"
    return Contender(
        name="Viewfinder",
        version=__version__,
        start=partial(viewfinder_until, path, raw(photos()[0])),
        path=path,
        ways={"raw": raw, "multipart": multipart},
        top=lambda answer: str(answer.json()["classes"][0]["class"]),
        deadline={"X-Request-Timeout-Ms": str(DEADLINE_MS)},
    )


def litserve() -> Contender:
    """LitServe."""
    return _peer(
        "litserve",
        "LitServe",
        path="/predict",
        ways={"base64": _in_json, "multipart": multipart},
        top=lambda answer: _first(answer.json()["classes"]),
    )


def peers() -> dict[str, Contender]:
    """Everybody, by the name to ask for; Viewfinder first."""
    infer = "/v2/models/classify/infer"
    return {
        "viewfinder": ours(),
        "litserve": litserve(),
        "bentoml": _peer(
            "bentoml",
            "BentoML",
            path="/classify",
            ways={"raw": raw},
            top=lambda answer: _first(answer.json()),
            command=_bentoml,
        ),
        "ray": _peer(
            "ray",
            "Ray Serve",
            path="/",
            ways={"raw": raw},
            top=lambda answer: _first(answer.json()),
            command=_ray,
        ),
        "mlserver": _peer(
            "mlserver",
            "MLServer",
            path=infer,
            ways={"base64": _in_tensor},
            top=lambda answer: _first(json.loads(answer.json()["outputs"][0]["data"][0])),
        ),
        "triton": _peer(
            "triton",
            "Triton",
            package="nvidia-pytriton",
            path=infer,
            ways={"raw": _as_only_input},
            top=_in_binary,
            command=partial(triton.command, instances=available_cores()),
            port_option="--http-port",
        ),
    }


def _peer(
    peer: str,
    name: str,
    *,
    path: str,
    ways: dict[str, Callable[[bytes], Body]],
    top: Callable[[httpx2.Response], str],
    package: str | None = None,
    command: Callable[[Path, Path], Sequence[str]] | None = None,
    port_option: str = "--port",
) -> Contender:
    """A peer whose command is given its environment and a folder; else its module is run."""
    body = next(iter(ways.values()))(photos()[0])
    command = command or partial(_module, peer)
    return Contender(
        name=name,
        version=pinned(peer, package or peer),
        start=partial(_started, peer, command, port_option, path, body),
        path=path,
        ways=ways,
        top=top,
        peer=peer,
    )


@contextlib.contextmanager
def _started(
    peer: str,
    command: Callable[[Path, Path], Sequence[str]],
    port_option: str,
    path: str,
    body: Body,
) -> Iterator[Server]:
    """A peer's server in its own environment, and nothing left of it afterwards."""
    place = environment(peer)
    with tempfile.TemporaryDirectory() as home:
        try:
            with running(
                command(place, Path(home)),
                ready=path,
                body=body,
                port_option=port_option,
                environment={
                    **kept_environment(),
                    **_SILENT,
                    "BENCHMARK_CORES": str(available_cores()),
                    "PATH": os.pathsep.join([str(place / "bin"), os.environ["PATH"]]),
                    "HOME": home,
                    "TMPDIR": home,
                },
                stop_s=_STOP_S,
            ) as server:
                yield server
        finally:
            _end_all(home)


def _module(peer: str, place: Path, home: Path) -> list[str]:
    del home
    return [str(place / "bin" / "python"), "-m", f"benchmarks.peers.{peer}"]


def _bentoml(place: Path, home: Path) -> list[str]:
    del home
    service = "benchmarks.peers.bentoml:Classify"
    return [str(place / "bin" / "bentoml"), "serve", service, "--host", "127.0.0.1"]


def _ray(place: Path, home: Path) -> list[str]:
    """With what its documentation advises for throughput; its files are of this run alone."""
    settings = {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{home}/haproxy/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{home}/haproxy/admin.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": f"{home}/haproxy",
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{home}/haproxy/server-state",
    }
    given = [f"{name}={value}" for name, value in settings.items()]
    return ["env", *given, *_module("ray", place, home)]


def _end_all(home: str) -> None:
    """End what a server has left behind, daemons too: all of it was told of the same home."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TMPDIR") == home:
                process.kill()
                process.wait(_STOP_S)


def _in_json(photo: bytes) -> Body:
    """The photo as base64 in a JSON object."""
    return _json({"image": base64.b64encode(photo).decode()})


def _in_tensor(photo: bytes) -> Body:
    """The photo as base64 in a tensor of the V2 inference protocol."""
    tensor = {
        "name": "photo",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"content_type": "base64"},
        "data": [base64.b64encode(photo).decode()],
    }
    return _json({"inputs": [tensor]})


def _json(value: object) -> Body:
    return Body(json.dumps(value).encode(), "application/json")


def _as_only_input(photo: bytes) -> Body:
    """The photo itself, with no JSON before it: the V2 protocol's binary extension."""
    return Body(photo, "application/octet-stream", headers=((_LENGTH, "0"),))


def _in_binary(answer: httpx2.Response) -> str:
    """A string of bytes behind JSON, with its own length in four bytes before it."""
    return _first(json.loads(answer.content[int(answer.headers[_LENGTH]) + 4 :]))


def _first(classes: list[dict[str, str]]) -> str:
    return classes[0]["class"]
