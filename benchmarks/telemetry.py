"""What telemetry costs: throughput with none, with metrics, and with all of it; and `/metrics`.

    python -m benchmarks.telemetry [--starts 8] [--rounds 12] [--seconds 1] [--parts] [--quick]

A server of each kind runs, and wrk asks them in turns, with raw bodies and each round in another
order; the rates of a round are compared with each other, and the medians of these ratios are told.
The turns are short: what else happens on the machine lasts longer than one, and so concerns all.
Two processes of the very same kind differ by as much as is to be seen here: all servers are started
anew several times. So is the processor time for each answer, which depends less on
what else the machine does. `all` has metrics, a line of JSON for each request, traces sent to a
collector, and drift; with `--parts` servers with one of them alone are asked too. The result cache
and the record of results are off.

Then `/metrics` is asked for with 50 models that have all answered, of one worker and of four.
"""

import argparse
import contextlib
import http.server
import itertools
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from http import HTTPStatus
from pathlib import Path

import httpx2

from benchmarks.harness import Figure, median, parse, parser, photos, save
from benchmarks.loads import Load, measure
from benchmarks.processes import VIEWFINDER, Server, clean_environment, running, viewfinder
from benchmarks.stores import publish_copy, publish_fake
from benchmarks.wrk import Body, raw, settle, wrk

_PARTS = ("metrics", "log", "traces", "drift")
_KINDS = {
    "none": (),
    "metrics": ("metrics",),
    "log": ("log",),
    "traces": ("traces",),
    "drift": ("drift",),
    "all": _PARTS,
}
_USUAL = ("none", "metrics", "all")
_MODEL = "watched"
_WARM_UP_S = 2
_LEAST = 0.97
_MODELS, _SCRAPES, _MOST_MS = 50, 41, 20.0
_WORKERS = (1, 4)


def main() -> None:
    """Measure, print and save."""
    options = parser(__doc__, starts=(8, 1), rounds=(12, 1), seconds=(1, 2), connections=(8, 8))
    options.add_argument("--parts", action="store_true", help="each part of telemetry by itself")
    arguments = parse(options)
    bodies = [raw(picture) for picture in photos()]
    rounds: list[dict[str, Load]] = []
    with collecting() as collector:
        for start in range(arguments.starts):
            rounds += measure_all(collector, bodies, arguments, start)
        traces = collector.received
    scrapes = {workers: scrape_ms(workers) for workers in _WORKERS}
    save(
        "telemetry",
        [*costs(rounds), *scraped(scrapes), Figure("batches of spans that were sent", traces)],
        rounds=[{kind: asdict(load) for kind, load in seen.items()} for seen in rounds],
        scrapes_ms=scrapes,
    )


def measure_all(
    collector: "_Collector", bodies: Sequence[Body], arguments: argparse.Namespace, start: int
) -> list[dict[str, Load]]:
    """Start a server of each kind, and ask them in turns."""
    rounds = []
    kinds = tuple(_KINDS) if arguments.parts else _USUAL
    with contextlib.ExitStack() as stack:
        order = _turned(kinds, start)
        servers = {kind: stack.enter_context(serving(kind, collector, bodies)) for kind in order}
        for number in range(arguments.rounds):
            seen = {
                kind: measure(servers[kind], bodies, arguments.connections, arguments.seconds)
                for kind in _turned(kinds, start + number)
            }
            rounds.append(seen)
            shown = ", ".join(
                f"{kind} {seen[kind].rate:.1f}/s {seen[kind].cpu_ms:.2f} ms" for kind in kinds
            )
            print(f"start {start + 1}: {shown}", flush=True)
    return rounds


def _turned(kinds: tuple[str, ...], number: int) -> tuple[str, ...]:
    turn = number % len(kinds)
    return (*kinds[turn:], *kinds[:turn])


def costs(rounds: Sequence[dict[str, Load]]) -> list[Figure]:
    """What is told of the load, and what is to be reached."""
    found = []
    for kind in (kind for kind in _KINDS if kind in rounds[0] and kind != "none"):
        rate = median([seen[kind].rate / seen["none"].rate for seen in rounds])
        cpu = median([seen[kind].cpu_ms / seen["none"].cpu_ms for seen in rounds])
        found += [
            Figure(f"{kind}: throughput, of none", rate, at_least=_LEAST),
            Figure(f"{kind}: processor time, of none", cpu),
        ]
    return found


def scraped(scrapes: dict[int, list[float]]) -> list[Figure]:
    """What is told of `/metrics`."""
    return [
        Figure(f"/metrics of {_MODELS} models, {workers} workers, ms", median(ms), at_most=_MOST_MS)
        for workers, ms in scrapes.items()
    ]


class _Collector(http.server.ThreadingHTTPServer):
    """Takes traces, and throws them away."""

    daemon_threads = True
    received = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Take(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Collector

    def do_POST(self) -> None:
        """Take a batch."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received += 1
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def collecting() -> Iterator[_Collector]:
    """A collector of traces."""
    with _Collector(("127.0.0.1", 0), _Take) as collector:
        thread = threading.Thread(target=collector.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


@contextlib.contextmanager
def serving(kind: str, collector: _Collector, bodies: Sequence[Body]) -> Iterator[Server]:
    """A server with so much telemetry, warmed up."""
    parts = {part: str(part in _KINDS[kind]).lower() for part in _PARTS}
    given = {
        "METRICS__ENABLED": parts["metrics"],
        "LOG__REQUESTS": parts["log"],
        "LOG__FORMAT": "json",
        "DRIFT__ENABLED": parts["drift"],
        "RECORD": "none",
        "DEFAULT_MODEL": _MODEL,
    }
    if "traces" in _KINDS[kind]:
        given["TRACING__ENDPOINT"] = collector.url
    settings = {f"VIEWFINDER_{name}": value for name, value in given.items()}
    with tempfile.TemporaryDirectory() as home:
        (Path(home) / "models").mkdir()
        publish_copy(Path(home) / "models", _MODEL, 1)
        command = [VIEWFINDER, "serve"]
        environment = clean_environment(home, **settings)
        with running(command, ready="/health/ready", environment=environment) as server:
            url = f"{server.url}/v1/classify"
            settle(url, bodies[0])
            wrk(url, bodies, connections=1, seconds=_WARM_UP_S)
            yield server


def scrape_ms(workers: int) -> list[float]:
    """Milliseconds that `/metrics` takes when many models have answered, in every worker."""
    with tempfile.TemporaryDirectory() as store:
        names = [f"model-{number}" for number in range(_MODELS)]
        for name in names:
            publish_fake(Path(store), name)
        settings = {"VIEWFINDER_MODEL_STORE": store, "VIEWFINDER_DEFAULT_MODEL": names[0]}
        arguments = ("--workers", str(workers))
        with viewfinder(*arguments, **settings) as server, clients(server) as asking:
            for client, name in itertools.product(asking, names):
                ask(client, name)
            return [timed(asking[0]) for _ in range(_SCRAPES)]


@contextlib.contextmanager
def clients(server: Server) -> Iterator[list[httpx2.Client]]:
    """Connections to most of the workers: each goes to one of them."""
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(httpx2.Client(base_url=server.url, trust_env=False, timeout=60))
            for _ in range(3 * max(_WORKERS))
        ]
        yield made


def ask(client: httpx2.Client, model: str) -> None:
    """Have a model answer."""
    answer = client.post(
        f"/v1/classify?model={model}",
        content=photos()[0],
        headers={"Content-Type": "image/jpeg"},
    )
    answer.raise_for_status()


def timed(client: httpx2.Client) -> float:
    """Milliseconds of one look at the metrics."""
    began = time.perf_counter()
    client.get("/metrics").raise_for_status()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
