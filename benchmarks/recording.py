"""What recording costs: throughput with nothing, with results, and with images recorded.

    python -m benchmarks.recording [--seconds 8] [--rounds 5] [--connections 8] [--quick]

In each round a server of each kind is started afresh, one after the other and each time in another
order, and asked by wrk with raw bodies; the rates of a round are compared with each other, and the
medians of these ratios are told. The result cache is off. The database is SQLite.
"""

import sqlite3
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness import Figure, median, parse, parser, photos, save
from benchmarks.processes import VIEWFINDER, clean_environment, running
from benchmarks.wrk import Body, raw, settle, wrk

_KINDS = ("none", "results", "images")
_WARM_UP_S = 2
_RESULTS = 0.97


def main() -> None:
    """Measure, print and save."""
    arguments = parse(parser(__doc__, seconds=(8, 2), rounds=(5, 1), connections=(8, 8)))
    bodies = [raw(picture) for picture in photos()]
    rounds: list[dict[str, float]] = []
    written: dict[str, float] = {}
    for number in range(arguments.rounds):
        turn = number % len(_KINDS)
        seen = {}
        for kind in (*_KINDS[turn:], *_KINDS[:turn]):
            seen[kind], written[kind] = measure(
                kind, bodies, arguments.connections, arguments.seconds
            )
        rounds.append(seen)
        shown = ", ".join(f"{kind} {seen[kind]:.1f}" for kind in _KINDS)
        print(f"round {number + 1}: {shown} requests/s", flush=True)
    ratios = {kind: median([seen[kind] / seen["none"] for seen in rounds]) for kind in _KINDS[1:]}
    save(
        "recording",
        [
            Figure("results recorded, of none", ratios["results"], at_least=_RESULTS),
            Figure("images recorded, of none", ratios["images"]),
            Figure("results in the database, of those answered", written["results"], 1),
            Figure("images stored, of those answered at full load", written["images"]),
        ],
        rounds=rounds,
    )


def measure(
    kind: str, bodies: Sequence[Body], connections: int, seconds: int
) -> tuple[float, float]:
    """Requests per second, and the share of the answers that is recorded in the end.

    Of results the rows count, of images those whose row says that there is one.
    """
    with tempfile.TemporaryDirectory() as home:
        with running(
            [VIEWFINDER, "serve"],
            ready="/health/ready",
            environment=clean_environment(home, VIEWFINDER_RECORD=kind),
        ) as server:
            url = f"{server.url}/v1/classify"
            settle(url, bodies[0])
            wrk(url, bodies, connections=connections, seconds=_WARM_UP_S)
            load = wrk(url, bodies, connections=connections, seconds=seconds)
        return load.rate, _recorded(Path(home) / "viewfinder.db", kind, load.rate * seconds)


def _recorded(path: Path, kind: str, answered: float) -> float:
    if kind == "none":
        return 0.0
    counts = "SELECT COUNT(*), COUNT(stored_bytes) FROM results"
    connection = sqlite3.connect(path)
    try:
        rows, images = connection.execute(counts).fetchone()
    finally:
        connection.close()
    # More than were counted have been asked: the warm-up, and what was cut off at the end.
    return float(images / rows if kind == "images" else min(1.0, rows / answered))


if __name__ == "__main__":
    main()
