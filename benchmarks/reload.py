"""A hundred reloads under load: no answer may be lost, and none much later than without.

    python -m benchmarks.reload [--reloads 100] [--seconds 30] [--connections 8] [--quick]

A store holds two versions of a copy of the default model. While `wrk` asks for the bare name, the
next version appears and is withdrawn again, turn by turn, and the server is told to look: each time
the bare name means another version. The benchmark waits until that one answers.
"""

import statistics
import sys
import tempfile
import time
from http import HTTPStatus
from pathlib import Path

import httpx2

from benchmarks.harness import Figure, median, parse, parser, percentile, photos, save
from benchmarks.processes import Server, viewfinder
from benchmarks.stores import publish_copy, withdraw
from benchmarks.wrk import Load, raw, settle, wrk, wrk_beside

_NAME = "benchmark"
_BASE_VERSIONS = 2
_WARM_UP_S = 2
_PATIENCE_S = 30
_SLOWER = 1.5
_ABSENT = {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}


def main() -> None:
    """Measure, print and save."""
    made = parser(__doc__, reloads=(100, 10), seconds=(30, 4), connections=(8, 8))
    arguments = parse(made)
    bodies = [raw(photo) for photo in photos()]
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        for version in range(1, _BASE_VERSIONS + 1):
            publish_copy(store, _NAME, version)
        with (
            viewfinder("--model", _NAME, VIEWFINDER_MODEL_STORE=folder) as server,
            httpx2.Client(base_url=server.url, timeout=_PATIENCE_S, trust_env=False) as client,
        ):
            url = f"{server.url}/v1/classify?model={_NAME}"
            look(client)

            def quiet(seconds: int) -> Load:
                return wrk(url, bodies, connections=arguments.connections, seconds=seconds)

            quiet(_WARM_UP_S)
            memory = server.memory_mb()
            before = quiet(arguments.seconds)
            with wrk_beside(url, bodies, connections=arguments.connections) as loads:
                switched = [switch(client, store, turn) for turn in range(arguments.reloads)]
            settle(url, bodies[0])
            # Before and after: a machine that has become slower in between is no fault of reloads.
            after = quiet(arguments.seconds)
            report(loads[0], (before, after), switched, (memory, resting_mb(server)))


def switch(client: httpx2.Client, store: Path, turn: int) -> float:
    """Let a version come or go; seconds until the bare name is answered by the one now meant."""
    newest = _BASE_VERSIONS + 1 + turn // 2
    if turn % 2 == 0:
        publish_copy(store, _NAME, newest)
    else:
        withdraw(store, _NAME, newest)
    meant = newest if turn % 2 == 0 else _BASE_VERSIONS
    began = time.monotonic()
    look(client)
    while answering(client) != meant:
        if time.monotonic() - began > _PATIENCE_S:
            sys.exit(f"version {meant} did not answer within {_PATIENCE_S} s of reload {turn + 1}")
    return time.monotonic() - began


def look(client: httpx2.Client) -> None:
    """Tell the server to look at its store."""
    answer = client.post("/v1/models/reload")
    if answer.status_code in _ABSENT:
        sys.exit("this version of Viewfinder has no POST /v1/models/reload")
    if not answer.is_success:
        sys.exit(f"the reload was answered by {answer.status_code}: {answer.text}")


def answering(client: httpx2.Client) -> int:
    """The version that answers the bare name now."""
    answer = client.post(
        "/v1/classify",
        params={"model": _NAME},
        content=photos()[0],
        headers={"Content-Type": "image/jpeg"},
    )
    if not answer.is_success:
        sys.exit(f"the bare name was answered by {answer.status_code}: {answer.text}")
    version: int = answer.json()["model"]["version"]
    return version


def resting_mb(server: Server) -> float:
    """Memory once the versions withdrawn have had a moment to go."""
    samples = []
    for _ in range(5):
        time.sleep(0.2)
        samples.append(server.memory_mb())
    return min(samples)


def report(
    load: Load, quiet: tuple[Load, Load], switched: list[float], memory: tuple[float, float]
) -> None:
    """Print and save; errors end in failure."""
    reloads = len(switched)
    p99 = statistics.mean(one.p99 for one in quiet)
    figures = [
        Figure("errors", load.errors, at_most=0),
        Figure("p99 without reloads, ms", p99),
        Figure(f"p99 with {reloads} reloads, ms", load.p99, at_most=_SLOWER * p99),
        Figure("p99, times that without", load.p99 / p99, at_most=_SLOWER),
        Figure("until the version meant answers, median s", median(switched)),
        Figure("the same, p99", percentile(switched, 99)),
        Figure("memory before, MB", memory[0]),
        Figure("growth, MB", memory[1] - memory[0]),
    ]
    rates = {"with_reloads": load.rate, "without": [one.rate for one in quiet]}
    save("reload", figures, reloads=reloads, requests_per_second=rates, seconds=switched)
    if load.errors:
        sys.exit(f"{load.errors} requests failed while the store changed")


if __name__ == "__main__":
    main()
