"""What recording costs: throughput with nothing, with results, and with images recorded.

    python -m benchmarks.recording [--seconds 8] [--rounds 5] [--connections 8] [--quick]

In each round a server of each kind is started afresh, one after the other and each time in another
order, and asked by wrk with raw bodies; the rates of a round are compared with each other, and the
medians of these ratios are told. So is the server's processor time for each answer, which depends
less on what else the machine does. The result cache is off. The database is SQLite, and has been
made when the measurement begins: that takes a second of a core, once.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness import Figure, median, parse, parser, photos, save
from benchmarks.processes import VIEWFINDER, clean_environment, running
from benchmarks.records import counts, wait_for_records
from benchmarks.wrk import Body, raw, settle, wrk


@dataclass(frozen=True, slots=True)
class Measured:
    """A server under load.

    Attributes:
        rate: Requests per second.
        cpu_ms: Milliseconds of processor time for each.
        recorded: The share of the answers that is recorded in the end: of results the rows count,
            of images those whose row says that there is one.
    """

    rate: float
    cpu_ms: float
    recorded: float


_KINDS = ("none", "results", "images")
_WARM_UP_S = 2
_RESULTS = 0.97


def main() -> None:
    """Measure, print and save."""
    arguments = parse(parser(__doc__, seconds=(8, 2), rounds=(5, 1), connections=(8, 8)))
    bodies = [raw(picture) for picture in photos()]
    rounds: list[dict[str, Measured]] = []
    for number in range(arguments.rounds):
        turn = number % len(_KINDS)
        seen = {
            kind: measure(kind, bodies, arguments.connections, arguments.seconds)
            for kind in (*_KINDS[turn:], *_KINDS[:turn])
        }
        rounds.append(seen)
        shown = ", ".join(
            f"{kind} {seen[kind].rate:.1f}/s {seen[kind].cpu_ms:.2f} ms" for kind in _KINDS
        )
        print(f"round {number + 1}: {shown}", flush=True)
    save(
        "recording", figures(rounds), rounds=[{k: asdict(v) for k, v in r.items()} for r in rounds]
    )


def figures(rounds: Sequence[dict[str, Measured]]) -> list[Figure]:
    """What is told, and what is to be reached."""
    found = []
    for kind, least in (("results", _RESULTS), ("images", None)):
        rate = median([seen[kind].rate / seen["none"].rate for seen in rounds])
        cpu = median([seen[kind].cpu_ms - seen["none"].cpu_ms for seen in rounds])
        share = median([seen[kind].recorded for seen in rounds])
        found += [
            Figure(f"{kind} recorded: throughput, of none", rate, at_least=least),
            Figure(f"{kind} recorded: processor time more for each, ms", cpu),
            Figure(f"{kind}: of the answers recorded", share),
        ]
    return found


def measure(kind: str, bodies: Sequence[Body], connections: int, seconds: int) -> Measured:
    """Start a server that records this, and ask it."""
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "viewfinder.db"
        with running(
            [VIEWFINDER, "serve"],
            ready="/health/ready",
            environment=clean_environment(home, VIEWFINDER_RECORD=kind),
        ) as server:
            url = f"{server.url}/v1/classify"
            settle(url, bodies[0])
            wrk(url, bodies, connections=connections, seconds=_WARM_UP_S)
            if kind != "none":
                wait_for_records(file)
            before = server.cpu_seconds()
            load = wrk(url, bodies, connections=connections, seconds=seconds)
            cpu_ms = (server.cpu_seconds() - before) / (load.rate * seconds) * 1000
        if kind == "none":
            return Measured(load.rate, cpu_ms, 0.0)
        rows, images = counts(file)
        # More than were counted have been asked: the warm-up, and what was cut off at the end.
        share = images / rows if kind == "images" else min(1.0, rows / (load.rate * seconds))
        return Measured(load.rate, cpu_ms, share)


if __name__ == "__main__":
    main()
