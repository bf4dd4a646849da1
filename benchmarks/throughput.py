"""Served throughput and latency against the limit, decode and infer without HTTP, and its peers.

    python -m benchmarks.throughput [--seconds 8] [--rounds 3] [--connections 8] [--quick]

In each round the limit, Viewfinder and every peer are measured one after the other, each started
afresh and warmed up, so that none takes anything from another; the medians of the rounds are
compared. `wrk` makes the load and takes its share of the same cores. `python -m benchmarks.peers`
compares with more servers, and in more than this.
"""

import importlib.util
from collections.abc import Sequence
from functools import partial

from benchmarks.compute import alone_ms, builtin, limit
from benchmarks.harness import Figure, median, parse, parser, photos, save
from benchmarks.peers.contenders import Contender, litserve, ours
from benchmarks.processes import Server, module
from benchmarks.wrk import multipart, raw, settle, wrk
from viewfinder.shared.machine import available_cores

_WARM_UP_S = 2
_RAW, _MULTIPART, _LITSERVE, _ALONE_MS = 0.90, 0.85, 1.6, 1.5


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
                if contender is entered[0]:
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
    """Viewfinder, LitServe, and the tutorial's code where TensorFlow is installed."""
    entered = [ours(), litserve()]
    if importlib.util.find_spec("tensorflow") is None:
        print("the tutorial's code is left out: it needs TensorFlow (make bench EXTRAS=train)")
        return entered
    tutorial = Contender(
        name="the tutorial's code",
        version="",
        start=partial(module, "peers.tutorial", ready="/openapi.json"),
        path="/classify",
        ways={"multipart": multipart},
        top=lambda answer: str(answer.json()["class"]),
    )
    return [*entered, tutorial]


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
        seen[f"{contender.name}, {name}"] = wrk(
            url, bodies, connections=connections, seconds=seconds
        ).rate
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
    peer = max(rate for name, rate in rates.items() if name.startswith("LitServe"))
    own, form = rates["Viewfinder, raw"], rates["Viewfinder, multipart"]
    figures = [
        Figure("raw body, of the limit", own / rates["limit"], at_least=_RAW),
        Figure("multipart, of the limit", form / rates["limit"], at_least=_MULTIPART),
        Figure("raw body, times LitServe", own / peer, at_least=_LITSERVE),
        Figure("one client, decode + infer p50, ms", alone["decode and infer"]),
        Figure(
            "one client, HTTP adds to the p50, ms",
            alone["served"] - alone["decode and infer"],
            at_most=_ALONE_MS,
        ),
    ]
    tutorial = [rate for name, rate in rates.items() if name.startswith("the tutorial")]
    figures += [Figure("raw body, times the tutorial's code", own / rate) for rate in tutorial]
    save("throughput", figures, requests_per_second=rates, rounds=rounds, one_client_p50_ms=alone)


if __name__ == "__main__":
    main()
