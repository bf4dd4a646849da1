"""Served throughput and latency against the limit, decode and infer without HTTP, and its peers.

    python -m benchmarks.throughput [--seconds 8] [--rounds 3] [--connections 8] [--quick]

In each round the limit, Viewfinder and every peer are measured one after the other, each started
afresh and warmed up, so that none takes anything from another; the medians of the rounds are
compared. `wrk` makes the load and takes its share of the same cores.
"""

import base64
import importlib.util
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from benchmarks.compute import alone_ms, builtin, limit
from benchmarks.harness import Figure, median, parse, parser, photos, save
from benchmarks.processes import Server, module, viewfinder
from benchmarks.wrk import Body, multipart, raw, settle, wrk
from viewfinder.settings import available_cores

_WARM_UP_S = 2
_RAW, _MULTIPART, _LITSERVE, _ALONE_MS = 0.90, 0.85, 1.6, 1.5


@dataclass(frozen=True, slots=True)
class Contender:
    """A server and the ways to ask it.

    Attributes:
        start: Starts it.
        path: Where it takes photos.
        ways: What is posted for a photo, by the name in the table.
    """

    start: Callable[[], AbstractContextManager[Server]]
    path: str
    ways: dict[str, Callable[[bytes], Body]]


def main() -> None:
    """Measure, print and save."""
    arguments = parse(parser(__doc__, seconds=(8, 2), rounds=(3, 1), connections=(8, 8)))
    pictures = photos()
    cores = available_cores()
    loaded = builtin(threads=cores)
    entered = contenders()

    rates: dict[str, list[float]] = {}
    alone: dict[str, list[float]] = {"decode and infer": [], "served": []}
    for number in range(arguments.rounds):
        seen = {"limit": limit(loaded, pictures, threads=cores, seconds=arguments.seconds)}
        for contender in entered:
            with contender.start() as server:
                seen |= measure(
                    contender, server, pictures, arguments.connections, arguments.seconds
                )
                if "raw" in contender.ways:
                    alone["decode and infer"].append(alone_ms(loaded, pictures, seconds=1))
                    alone["served"].append(one_client_ms(contender, server, pictures))
        for name, rate in seen.items():
            rates.setdefault(name, []).append(rate)
        shown = ", ".join(f"{name} {rate:.1f}" for name, rate in seen.items())
        print(f"round {number + 1}: {shown} requests/s", flush=True)
    report(
        {name: median(seen) for name, seen in rates.items()},
        {name: median(seen) for name, seen in alone.items()},
        rates,
    )


def contenders() -> list[Contender]:
    """Viewfinder, and the peers that are installed."""
    if importlib.util.find_spec("litserve") is None:
        sys.exit("this benchmark needs litserve: make bench installs it (uv sync --group bench)")
    entered = [
        Contender(viewfinder, "/v1/classify", {"raw": raw, "multipart": multipart}),
        Contender(
            partial(module, "peers.litserve", ready="/health"),
            "/predict",
            {"LitServe, multipart": multipart, "LitServe, base64": in_json},
        ),
    ]
    if importlib.util.find_spec("tensorflow") is None:
        print("the tutorial's code is left out: it needs TensorFlow (make bench EXTRAS=train)")
        return entered
    tutorial = partial(module, "peers.tutorial", ready="/openapi.json")
    return [*entered, Contender(tutorial, "/classify", {"the tutorial's code": multipart})]


def in_json(photo: bytes) -> Body:
    """The photo as base64 in a JSON object."""
    return json.dumps({"image": base64.b64encode(photo).decode()}).encode(), "application/json"


def measure(
    contender: Contender,
    server: Server,
    pictures: Sequence[bytes],
    connections: int,
    seconds: int,
) -> dict[str, float]:
    """Requests per second, by way."""
    url = f"{server.url}{contender.path}"
    seen = {}
    for name, way in contender.ways.items():
        bodies = [way(picture) for picture in pictures]
        settle(url, bodies[0])  # Keras compiles at its first call, for seconds
        wrk(url, bodies, connections=connections, seconds=_WARM_UP_S)
        seen[name] = wrk(url, bodies, connections=connections, seconds=seconds).rate
    return seen


def one_client_ms(contender: Contender, server: Server, pictures: Sequence[bytes]) -> float:
    """The p50 of a single client that waits for each answer."""
    bodies = [raw(picture) for picture in pictures]
    return wrk(f"{server.url}{contender.path}", bodies, connections=1, seconds=2).p50


def report(
    rates: dict[str, float], alone: dict[str, float], rounds: dict[str, list[float]]
) -> None:
    """Print and save."""
    print(f"\n{'':24}requests/s   of the limit")
    for name, rate in rates.items():
        print(f"{name:24}{rate:10.1f}   {rate / rates['limit']:12.2f}")
    litserve = max(rate for name, rate in rates.items() if name.startswith("LitServe"))
    figures = [
        Figure("raw body, of the limit", rates["raw"] / rates["limit"], at_least=_RAW),
        Figure("multipart, of the limit", rates["multipart"] / rates["limit"], at_least=_MULTIPART),
        Figure("raw body, times LitServe", rates["raw"] / litserve, at_least=_LITSERVE),
        Figure("one client, decode + infer p50, ms", alone["decode and infer"]),
        Figure(
            "one client, HTTP adds to the p50, ms",
            alone["served"] - alone["decode and infer"],
            at_most=_ALONE_MS,
        ),
    ]
    if "the tutorial's code" in rates:
        ratio = rates["raw"] / rates["the tutorial's code"]
        figures.append(Figure("raw body, times the tutorial's code", ratio))
    save("throughput", figures, requests_per_second=rates, rounds=rounds, one_client_p50_ms=alone)


if __name__ == "__main__":
    main()
