"""Viewfinder side by side with other servers of the same model, on the same cores.

    python -m benchmarks.peers [--only viewfinder,litserve] [--rounds 3] [--seconds 5] [--plot]

Each server does the same work with two threads or processes of compute, in an environment of its
own. In each round the limit and every server are measured one after the other, each started afresh;
the medians of the rounds are compared. A server that cannot be installed or started is reported as
such. docs/benchmarks.md says what each was told to do.
"""

import argparse
from dataclasses import asdict

import numpy as np

from benchmarks.compute import builtin, limit
from benchmarks.environments import environment, megabytes
from benchmarks.footprint import install
from benchmarks.harness import Failed, Figure, median, parse, parser, photos, save
from benchmarks.peers.contenders import Contender, peers
from benchmarks.peers.measuring import Seen, measure, middle
from benchmarks.peers.report import Row, draw, show
from viewfinder.engines.loader import LoadedVariant
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits
from viewfinder.shared.machine import available_cores

_OURS = "viewfinder"


def main() -> None:
    """Measure, print, draw and save."""
    known = peers()
    made = parser(__doc__, rounds=(3, 1), seconds=(5, 1), connections=(8, 8))
    made.add_argument("--only", default=",".join(known), help="default %(default)s")
    made.add_argument("--plot", action="store_true", help="draw docs/images/peers.svg")
    arguments = parse(made)
    asked = {_OURS, *arguments.only.split(",")}  # without it there is nothing to compare with
    if unknown := asked - set(known):
        made.error(f"there is no {', '.join(sorted(unknown))}")
    entered = {name: known[name] for name in known if name in asked}

    failures: dict[str, str] = {}
    able = installed(entered, failures)
    sizes = {name: installed_mb(one) for name, one in able.items()}
    limits, rounds = measured(able, failures, arguments)
    ceiling = median(limits)
    rows = [
        Row(
            one.name,
            one.version,
            sizes.get(name),
            middle(rounds[name]) if rounds.get(name) else None,
        )
        for name, one in entered.items()
    ]
    show(rows, ceiling, failures)
    if arguments.plot:
        draw(rows, ceiling)
    save(
        "peers",
        figures(rows, ceiling),
        limit=ceiling,
        servers=[asdict(row) for row in rows],
        failures=failures,
        rounds={name: [asdict(seen) for seen in all_] for name, all_ in rounds.items()},
        limits=limits,
    )


def installed(entered: dict[str, Contender], failures: dict[str, str]) -> dict[str, Contender]:
    """Those that could be installed."""
    found = {}
    for name, contender in entered.items():
        try:
            if contender.peer is not None:
                environment(contender.peer)
            found[name] = contender
        except Failed as failure:
            failures[name] = str(failure)
    return found


def installed_mb(contender: Contender) -> float:
    """Its environment on the disk, Python left out."""
    return install() if contender.peer is None else megabytes(environment(contender.peer))


def measured(
    entered: dict[str, Contender], failures: dict[str, str], arguments: argparse.Namespace
) -> tuple[list[float], dict[str, list[Seen]]]:
    """The limit, and everybody in turn, round by round."""
    pictures, cores = photos(), available_cores()
    loaded = builtin(threads=cores)
    classes = [top(loaded, picture) for picture in pictures]
    limits: list[float] = []
    rounds: dict[str, list[Seen]] = {name: [] for name in entered}
    for number in range(arguments.rounds):
        limits.append(limit(loaded, pictures, threads=cores, seconds=arguments.seconds))
        print(f"round {number + 1}: limit {limits[-1]:.1f} images/s", flush=True)
        for name, contender in entered.items():
            try:
                seen = measure(
                    contender,
                    pictures,
                    classes,
                    connections=arguments.connections,
                    seconds=arguments.seconds,
                )
            except Failed as failure:
                failures[name] = f"round {number + 1}: {failure}"
                print(f"  {contender.name}: failed", flush=True)
                continue  # the next round may find the machine quieter
            rounds[name].append(seen)
            print(f"  {contender.name}: {seen.rate:.1f} images/s", flush=True)
    return limits, rounds


def top(loaded: LoadedVariant, picture: bytes) -> str:
    """The class that Viewfinder sees."""
    confidence = loaded.confidence(preprocess(picture, loaded.variant.preprocess, Limits()))
    return loaded.bundle.manifest.labels[int(np.argmax(confidence))].name


def figures(rows: list[Row], ceiling: float) -> list[Figure]:
    """Rates of everybody that was measured, as ratios."""
    (own,) = (row.seen for row in rows[:1])
    seen = [(row.name, row.seen) for row in rows if row.seen is not None]
    listed = [Figure(f"{name}, images/s of the limit", one.rate / ceiling) for name, one in seen]
    if own is not None:
        listed += [
            Figure(f"{name}, images/s of Viewfinder's", one.rate / own.rate)
            for name, one in seen[1:]
        ]
    return listed


if __name__ == "__main__":
    main()
