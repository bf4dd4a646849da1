"""Overload: requests at a constant rate that waits for nobody, up to ten times of what is possible.

    python -m benchmarks.overload [--seconds 60] [--quick]

Each request gives the server a second (`X-Request-Timeout-Ms: 1000`). Goodput counts what was
answered with 200 within that second, by the client's clock. The peak is the goodput of 16
connections that wait for their answers, measured with the same generator, which shares the cores:
what it takes of them is printed.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import httpx2

from benchmarks.generator import Plan, Report, Request, generate, generating, http_request
from benchmarks.harness import Figure, median, parse, parser, percentile, photos, save
from benchmarks.processes import Server, viewfinder

_PATH = "/v1/classify"
_DEADLINE_MS = 1000
_PEAK_CONNECTIONS = 16
_MOST_CONNECTIONS = 10_000
_FACTORS = (0.8, 2.0, 10.0)
_WARM_UP_S = 2
_PROBES = 40
_WINDOW = 5
_RECOVERED = 1.5
_PATIENCE_S = 60
_OK, _OVERLOADED, _TOO_LATE = "photo 200", "photo 503", "photo 504"


@dataclass(frozen=True, slots=True)
class Overload:
    """What happened at one rate; times in milliseconds.

    Attributes:
        factor: The rate, in peaks.
        goodput: Answers of 200 within the deadline, per second.
        answered: Answers of 200, late ones too, per second.
        accepted_p99: Of all answers of 200, late ones too.
        refusal_p50: From when the request was due until its 503 was there.
        refusal_p99: See `refusal_p50`.
        recovery_s: From the last request sent until a lone client is answered as before.
        server_cores: How many cores the server was busy with.
        generator_cores: The same of the generator.
        lag_ms: How late the generator sent what was due, at worst.
        outcomes: How many requests ended how.
    """

    factor: float
    goodput: float
    answered: float
    accepted_p99: float
    refusal_p50: float
    refusal_p99: float
    recovery_s: float
    server_cores: float
    generator_cores: float
    lag_ms: float
    outcomes: dict[str, int]


def main() -> None:
    """Measure, print and save."""
    seconds = parse(parser(__doc__, seconds=(60, 10))).seconds
    requests = tuple(
        http_request("photo", _PATH, photo, deadline_ms=_DEADLINE_MS) for photo in photos()
    )
    with viewfinder() as server:
        peak = measure_peak(server, requests, seconds)
        print(f"peak goodput: {peak:.1f}/s", flush=True)
        measured = []
        for factor in _FACTORS:
            measured.append(measure(server, requests, peak, factor, seconds))
            tell(measured[-1], peak)
    save("overload", figures(measured, peak), peak=peak, rates=[asdict(one) for one in measured])


def measure_peak(server: Server, requests: tuple[Request, ...], seconds: float) -> float:
    """Goodput per second of clients that wait for their answers."""
    warm = Plan(server.port, requests, _PEAK_CONNECTIONS, seconds=_WARM_UP_S)
    generate(warm)
    report = generate(Plan(server.port, requests, _PEAK_CONNECTIONS, seconds=min(seconds, 20)))
    return in_time(report) / report.seconds


def measure(
    server: Server, requests: tuple[Request, ...], peak: float, factor: float, seconds: float
) -> Overload:
    """One rate, from the quiet before to the quiet after."""
    with httpx2.Client(trust_env=False, timeout=_PATIENCE_S) as client:
        url = f"{server.url}{_PATH}"
        quiet = median([probe(client, url) for _ in range(_PROBES)])
        plan = Plan(server.port, requests, _MOST_CONNECTIONS, rate=peak * factor, seconds=seconds)
        used = server.cpu_seconds()
        with generating(plan) as running:
            running.wait_until_asked()
            used = server.cpu_seconds() - used
            recovery = recover(client, url, quiet * _RECOVERED)
            report = running.report()
    accepted = report.times.get(_OK, [])
    refused = report.times.get(_OVERLOADED, [])
    return Overload(
        factor=factor,
        goodput=in_time(report) / report.seconds,
        answered=len(accepted) / report.seconds,
        accepted_p99=percentile(accepted, 99),
        refusal_p50=percentile(refused, 50),
        refusal_p99=percentile(refused, 99),
        recovery_s=recovery,
        server_cores=used / report.seconds,
        generator_cores=report.cpu_seconds / report.seconds,
        lag_ms=report.lag_ms,
        outcomes=report.counts,
    )


def in_time(report: Report) -> int:
    """How many were answered within their deadline."""
    return sum(milliseconds <= _DEADLINE_MS for milliseconds in report.times.get(_OK, []))


def probe(client: httpx2.Client, url: str) -> float:
    """Milliseconds of one photo, endless if it is refused."""
    headers = {"Content-Type": "image/jpeg", "X-Request-Timeout-Ms": str(_DEADLINE_MS)}
    began = time.perf_counter()
    try:
        answered = client.post(url, content=photos()[0], headers=headers).is_success
    except httpx2.TransportError:
        answered = False
    return (time.perf_counter() - began) * 1000 if answered else float("inf")


def recover(client: httpx2.Client, url: str, below: float) -> float:
    """Seconds until the median of some answers in a row is below a number of milliseconds."""
    began = time.monotonic()
    times: list[float] = []
    while len(times) < _WINDOW or median(times[-_WINDOW:]) > below:
        if time.monotonic() - began > _PATIENCE_S:
            return float("inf")
        times.append(probe(client, url))
    return time.monotonic() - began


def tell(one: Overload, peak: float) -> None:
    """One rate, for people."""
    print(
        f"\n{one.factor:g} x peak ({one.factor * peak:.0f}/s): goodput {one.goodput:.1f}/s, "
        f"late ones too {one.answered:.1f}/s, recovery {one.recovery_s:.1f} s\n"
        f"  p99 of the accepted {one.accepted_p99:.0f} ms; a refusal takes "
        f"{one.refusal_p50:.0f} ms (p50), {one.refusal_p99:.0f} ms (p99)\n"
        f"  cores: server {one.server_cores:.2f}, generator {one.generator_cores:.2f} "
        f"(at worst {one.lag_ms:.0f} ms late)\n"
        f"  {', '.join(f'{outcome}: {count}' for outcome, count in one.outcomes.items())}",
        flush=True,
    )


def figures(measured: Sequence[Overload], peak: float) -> list[Figure]:
    """What is to be reached at each rate."""
    listed = []
    for one in measured:
        # Below the peak, all that is asked can be answered, and is to be.
        most = min(one.factor, 1.0)
        unexpected = sum(
            count
            for outcome, count in one.outcomes.items()
            if outcome not in {_OK, _OVERLOADED, _TOO_LATE}
        )
        name = f"{one.factor:g} x peak"
        listed += [
            Figure(f"{name}: goodput, of the possible", one.goodput / peak / most, at_least=0.9),
            Figure(f"{name}: p99 of the accepted, ms", one.accepted_p99, at_most=_DEADLINE_MS),
            Figure(f"{name}: recovery, s", one.recovery_s, at_most=5),
            Figure(f"{name}: neither 200, 503 nor 504", unexpected, at_most=0),
        ]
    return listed


if __name__ == "__main__":
    main()
