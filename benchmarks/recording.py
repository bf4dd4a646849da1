"""What recording costs: throughput with nothing, with results, and with images recorded.

    python -m benchmarks.recording [--seconds 8] [--rounds 5] [--connections 8] [--quick]

A server of each kind runs from the beginning to the end, and wrk asks them in turns, with raw
bodies and each round in another order; the rates of a round are compared with each other, and the
medians of these ratios are told. So is the processor time for each answer, which depends less on
what else the machine does. The result cache is off. The database is SQLite, and has been made when
the measurement begins: that takes a second of a core, once.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.harness import Figure, median, parse, parser, photos, save
from benchmarks.loads import Load, measure
from benchmarks.processes import VIEWFINDER, Server, clean_environment, running
from benchmarks.records import counts, wait_for_records
from benchmarks.wrk import Body, raw, settle, wrk


@dataclass(frozen=True, slots=True)
class Recording:
    """A server, and where it records."""

    server: Server
    file: Path


_KINDS = ("none", "results", "images")
_WARM_UP_S = 2
_RESULTS = 0.97


def main() -> None:
    """Measure, print and save."""
    arguments = parse(parser(__doc__, seconds=(6, 2), rounds=(9, 1), connections=(8, 8)))
    bodies = [raw(picture) for picture in photos()]
    rounds: list[dict[str, Load]] = []
    with contextlib.ExitStack() as stack:
        servers = {kind: stack.enter_context(recording(kind, bodies)) for kind in _KINDS}
        for number in range(arguments.rounds):
            turn = number % len(_KINDS)
            seen = {
                kind: measure(
                    servers[kind].server, bodies, arguments.connections, arguments.seconds
                )
                for kind in (*_KINDS[turn:], *_KINDS[:turn])
            }
            rounds.append(seen)
            shown = ", ".join(
                f"{kind} {seen[kind].rate:.1f}/s {seen[kind].cpu_ms:.2f} ms" for kind in _KINDS
            )
            print(f"round {number + 1}: {shown}", flush=True)
        kept = {kind: counts(servers[kind].file) for kind in _KINDS[1:]}
    save(
        "recording",
        figures(rounds, kept),
        rounds=[{k: asdict(v) for k, v in r.items()} for r in rounds],
    )


def figures(rounds: Sequence[dict[str, Load]], kept: Mapping[str, tuple[int, int]]) -> list[Figure]:
    """What is told, and what is to be reached."""
    found = []
    for kind, least in (("results", _RESULTS), ("images", None)):
        rate = median([seen[kind].rate / seen["none"].rate for seen in rounds])
        cpu = median([seen[kind].cpu_ms / seen["none"].cpu_ms for seen in rounds])
        found += [
            Figure(f"{kind} recorded: throughput, of none", rate, at_least=least),
            Figure(f"{kind} recorded: processor time, of none", cpu),
        ]
    rows, images = kept["images"]
    return [*found, Figure("of the images, stored", images / rows)]


@contextlib.contextmanager
def recording(kind: str, bodies: Sequence[Body]) -> Iterator[Recording]:
    """A server that records this, warmed up."""
    with tempfile.TemporaryDirectory() as home:
        file = Path(home) / "viewfinder.db"
        with running(
            [VIEWFINDER, "serve"],
            ready="/health/ready",
            environment=clean_environment(home, VIEWFINDER_RECORD=kind),
        ) as server:
            url = f"{server.url}/v1/classify"
            settle(url, bodies[0])
            wrk(url, bodies, connections=1, seconds=_WARM_UP_S)
            if kind != "none":
                wait_for_records(file)
            yield Recording(server, file)


if __name__ == "__main__":
    main()
