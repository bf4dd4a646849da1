"""Latency against load: one to 64 connections that each wait for their answers.

    python -m benchmarks.latency [--seconds 10] [--rounds 3] [--quick]

The medians of the rounds are printed, and drawn in `benchmarks/results/latency.svg` where
matplotlib is installed.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks.harness import RESULTS, ROOT, Figure, median, parse, parser, photos, save
from benchmarks.processes import viewfinder
from benchmarks.wrk import Load, raw, wrk

_CONNECTIONS = (1, 2, 4, 8, 16, 32, 64)
_WARM_UP_S = 2


def main() -> None:
    """Measure, print, draw and save."""
    arguments = parse(parser(__doc__, seconds=(10, 2), rounds=(3, 1)))
    bodies = [raw(photo) for photo in photos()]
    rounds: dict[int, list[Load]] = {connections: [] for connections in _CONNECTIONS}
    with viewfinder() as server:
        url = f"{server.url}/v1/classify"
        wrk(url, bodies, connections=max(_CONNECTIONS), seconds=_WARM_UP_S)
        for _ in range(arguments.rounds):
            for connections, loads in rounds.items():
                loads.append(wrk(url, bodies, connections=connections, seconds=arguments.seconds))
    table = {connections: middle(loads) for connections, loads in rounds.items()}
    print(f"{'connections':>11}{'requests/s':>12}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}")
    for connections, load in table.items():
        print(f"{connections:11}{load.rate:12.1f}{load.p50:9.1f}{load.p95:9.1f}{load.p99:9.1f}")
    draw(table)
    best = max(load.rate for load in table.values())
    last = table[max(_CONNECTIONS)]
    save(
        "latency",
        [Figure("64 connections, of the best rate", last.rate / best)],
        connections={str(connections): asdict(load) for connections, load in table.items()},
    )


def middle(loads: Sequence[Load]) -> Load:
    """The median of each number."""
    return Load(
        rate=median([load.rate for load in loads]),
        p50=median([load.p50 for load in loads]),
        p95=median([load.p95 for load in loads]),
        p99=median([load.p99 for load in loads]),
        errors=0,  # one would have ended the benchmark
        client_cores=median([load.client_cores for load in loads]),
    )


def draw(table: dict[int, Load]) -> None:
    """Latency over throughput, each point a number of connections."""
    if importlib.util.find_spec("matplotlib") is None:
        print("no plot: matplotlib is not installed (make bench installs it)")
        return
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(7, 4))
    axes = figure.subplots()
    rates = [load.rate for load in table.values()]
    for name in ("p50", "p95", "p99"):
        axes.plot(rates, [getattr(load, name) for load in table.values()], "o-", label=name)
    for connections, load in table.items():
        axes.annotate(str(connections), (load.rate, load.p99), fontsize=8)
    axes.set_xlabel("requests/s (the numbers: connections)")
    axes.set_ylabel("ms")
    axes.set_yscale("log")
    axes.legend()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latency.svg"
    figure.savefig(path, bbox_inches="tight")
    print(f"drawn in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
