"""One server through all that is measured, from its start to twice what it can do."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import httpx2

from benchmarks.generator import Plan, Report, generate, http_request
from benchmarks.harness import Failed, median
from benchmarks.peers.contenders import DEADLINE_MS, Contender
from benchmarks.processes import Server
from benchmarks.wrk import Body, settle, wrk, wrk_beside

_IDLE_S, _WARM_UP_S = 1, 2
_TRIES = 5
_FACTOR = 2
_PATIENCE_S = 5.0
_MOST_CONNECTIONS = 10_000


@dataclass(frozen=True, slots=True)
class Overload:
    """What became of requests at twice a server's own peak; shares of all of them, 0-1.

    Attributes:
        in_time: Answered with 200 within the deadline.
        late: Answered with 200 after it.
        refused: Answered with another status.
        unanswered: The client gave up after five seconds, or the connection broke.
        refused_ms: Median time until a refusal was there; not a number without one.
    """

    in_time: float
    late: float
    refused: float
    unanswered: float
    refused_ms: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One server in one round.

    Attributes:
        rate: Images a second with all connections.
        p50: Milliseconds of a lone client.
        p99: See `p50`.
        first_answer_s: Seconds from the start of the process to the first answer.
        idle_mb: Memory of all its processes after that.
        loaded_mb: The same with all connections at work.
        overload: What became of twice its rate.
    """

    rate: float
    p50: float
    p99: float
    first_answer_s: float
    idle_mb: float
    loaded_mb: float
    overload: Overload


def measure(
    contender: Contender,
    pictures: Sequence[bytes],
    classes: Sequence[str],
    *,
    connections: int,
    seconds: int,
) -> Seen:
    """Start it, measure it, end it.

    Args:
        contender: Asked in its quickest way.
        pictures: The photos.
        classes: What it has to see on each.
        connections: At saturation.
        seconds: Of each load.

    Raises:
        Failed: It did not start, answers something else, or failed under load.
    """
    bodies = [contender.way(picture) for picture in pictures]
    with contender.start() as server:
        url = f"{server.url}{contender.path}"
        if (seen := answers(contender, server, bodies)) != list(classes):
            raise Failed(f"{contender.name} sees {', '.join(seen)}, not {', '.join(classes)}")
        time.sleep(_IDLE_S)
        idle = server.shared_memory_mb()
        with wrk_beside(url, bodies, connections=connections):
            time.sleep(_WARM_UP_S)
            loaded = server.shared_memory_mb()
        settle(url, bodies[0])
        rate = wrk(url, bodies, connections=connections, seconds=seconds).rate
        alone = wrk(url, bodies, connections=1, seconds=seconds)
        return Seen(
            rate=rate,
            p50=alone.p50,
            p99=alone.p99,
            first_answer_s=server.started_s,
            idle_mb=idle,
            loaded_mb=loaded,
            overload=overload(contender, server, bodies, rate, seconds),
        )


def answers(contender: Contender, server: Server, bodies: Sequence[Body]) -> list[str]:
    """The class of each photo."""
    seen = []
    with httpx2.Client(timeout=60, trust_env=False) as client:
        for body in bodies:
            for _ in range(_TRIES):  # a process that is asked for the first time may be too slow
                answer = client.post(
                    f"{server.url}{contender.path}", content=body.content, headers=body.all_headers
                )
                if answer.is_success:
                    break
            if answer.is_error:
                raise Failed(f"{contender.name} answers {answer.status_code}: {answer.text}")
            seen.append(contender.top(answer))
    return seen


def overload(
    contender: Contender, server: Server, bodies: Sequence[Body], rate: float, seconds: int
) -> Overload:
    """Ask for twice its rate for some seconds."""
    requests = tuple(
        http_request(
            "photo",
            contender.path,
            body.content,
            content_type=body.content_type,
            headers={**dict(body.headers), **contender.deadline},
        )
        for body in bodies
    )
    plan = Plan(
        server.port,
        requests,
        _MOST_CONNECTIONS,
        rate=_FACTOR * rate,
        seconds=seconds,
        patience=_PATIENCE_S,
    )
    return shares(generate(plan))


def shares(report: Report) -> Overload:
    """Who got what."""
    times = {outcome.removeprefix("photo "): seen for outcome, seen in report.times.items()}
    total = sum(len(seen) for seen in times.values())
    good = times.pop("200", [])
    in_time = sum(milliseconds <= DEADLINE_MS for milliseconds in good)
    refusals = [ms for outcome, seen in times.items() if outcome.isdecimal() for ms in seen]
    return Overload(
        in_time=in_time / total,
        late=(len(good) - in_time) / total,
        refused=len(refusals) / total,
        unanswered=(total - len(good) - len(refusals)) / total,
        refused_ms=median(refusals) if refusals else float("nan"),
    )


def middle(rounds: Sequence[Seen]) -> Seen:
    """The median of each number."""
    numbers = [asdict(seen) for seen in rounds]
    overloads = [asdict(seen.overload) for seen in rounds]
    return Seen(
        **{
            name: median([number[name] for number in numbers])
            for name in numbers[0]
            if name != "overload"
        },
        overload=Overload(
            **{name: median([one[name] for one in overloads]) for name in overloads[0]}
        ),
    )
