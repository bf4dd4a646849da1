"""Settings and values for a deployment that go with what was measured. Nothing is measured here.

A server is to be used to 70% of what it can do: near saturation waits grow without bound, and
traffic comes in bursts. A queue that is worked off in two seconds outlasts such a burst; what
waits longer has usually been given up by whoever asked.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from viewfinder.capacity.measured import Measured, Process
from viewfinder.settings import MIB, Settings

Value: TypeAlias = int | float | str | bool

TARGET = 0.7
"""The share of what a server can do that it is to be used to."""

_WAIT_S = 2.0
_SHORTEST_DEADLINE_S, _LONGEST_DEADLINE_S = 10.0, 3600.0
# Of the time that a photo takes by itself, and the share within which a full queue is answered.
_DEADLINES, _IN_TIME = 20, 0.8
_LONGEST_QUEUE = 10_000
_IDLE_PER_BUSY = 3
_FEWEST_CONNECTIONS, _MOST_CONNECTIONS = 500, 10_000
_ROUND_BYTES = 64 * MIB
_MEMORY_ROOM = 1.25
# Bytes that decoding takes for each pixel: colours and transparency; or, of a progressive JPEG, the
# coefficients of three colours.
_PLAIN_PIXEL, _JPEG_PIXEL = 4, 6
# Seconds of work that wait in a server which could do with help.
_BACKLOG_S = 0.1
_FEWEST_REPLICAS, _MOST_REPLICAS = 2, 10_000
_QUIET, _BURST = 0.5, 1.5
_STARTS, _LEAST_START_S = 5, 30.0
_STARTUP_PERIOD_S, _READINESS_PERIOD_S, _LIVENESS_PERIOD_S = 2, 5, 10
_QUICKEST_PROBE_S, _SLOWEST_PROBE_S = 2, 30
_LAST_S = 10


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of advice.

    Attributes:
        name: Of a setting, or in the values of a chart; dots lead into groups.
        value: What to set.
        why: A few words.
    """

    name: str
    value: Value
    why: str


@dataclass(frozen=True, slots=True)
class Advice:
    """What to set.

    Attributes:
        settings: Of the server; none for one that was measured from elsewhere.
        deployment: Values for containers that are scaled.
        per_replica: Photos per second that one replica is to be planned with.
    """

    settings: tuple[Item, ...]
    deployment: tuple[Item, ...]
    per_replica: float

    def of(self, name: str) -> Value:
        """The value of a setting, or of the deployment, by its name."""
        return next(one.value for one in (*self.settings, *self.deployment) if one.name == name)


def advise(measured: Measured, wanted: float | None, settings: Settings) -> Advice:
    """Turn measurements into settings.

    Args:
        measured: What was measured.
        wanted: Requests per second that are to be served at the busiest time; None if nobody has
            said.
        settings: Those that hold so far: what a photo and a batch may be, how the server stops.
    """
    process, per_replica = measured.chosen.process, TARGET * measured.capacity
    if process is None:
        return Advice((), tuple(_replicas(measured, wanted)), per_replica)
    queue = tuple(_queue(measured, process, settings))
    room = tuple(_room(measured, process, settings, int(queue[0].value)))
    server = (*_cores(measured, process), *queue, *room)
    deployment = (
        *_resources(measured, process, settings, int(room[-1].value)),
        *_replicas(measured, wanted),
        *_signals(measured, process, int(queue[0].value)),
        *_probes(measured, process, settings),
    )
    return Advice(server, deployment, per_replica)


def _cores(measured: Measured, process: Process) -> Iterator[Item]:
    one, several = measured.served.best, measured.split
    why = f"its event loop is {100 * (one.loop_share or 0):.0f}% busy at {one.rate:.3g}/s"
    if several is None or several.process is None:
        why += ": one process is enough"
    else:
        why += f", {several.process.workers} workers do {several.best.rate:.3g}/s"
    yield Item("workers", process.workers, why)
    shared = f", shared by {process.workers} workers" if process.workers > 1 else ""
    yield Item("threads", process.threads, f"one for each core: {measured.cores}{shared}")


def _queue(measured: Measured, process: Process, settings: Settings) -> Iterator[Item]:
    """The queue of each process, which must not be longer than can be answered in time."""
    rate = measured.capacity / process.workers
    alone_s = measured.served.steps[0].p50_ms / 1000
    deadline = math.ceil(min(_LONGEST_DEADLINE_S, max(_SHORTEST_DEADLINE_S, _DEADLINES * alone_s)))
    batch = settings.limits.batch_images
    work = max(int(rate * _WAIT_S), batch)
    size = max(1, min(work, int(_IN_TIME * rate * deadline), _LONGEST_QUEUE))
    wait = f"worked off in {_seconds(size / rate)}"
    if size == batch:
        wait = f"a whole batch, {wait}"
    yield Item("queue_size", size, wait)
    yield Item(
        "request_timeout_s",
        float(deadline),
        f"{deadline * rate / size:.1f} times what a full queue takes",
    )


def _room(measured: Measured, process: Process, settings: Settings, queue: int) -> Iterator[Item]:
    """Connections and bodies of each process."""
    limits, held = settings.limits, queue + process.threads
    wished = math.ceil((1 + _IDLE_PER_BUSY) * held / 100) * 100
    connections = max(_FEWEST_CONNECTIONS, min(_MOST_CONNECTIONS, wished))
    yield Item(
        "limits.connections",
        connections,
        f"{held:,} with a photo in hand, and as many idle ones as fit",
    )
    largest = measured.pictures.bytes[-1]
    least = max(limits.batch_bytes, limits.image_bytes, limits.body_bytes)
    bodies = _rounded(max(2 * held * largest, 2 * least))
    yield Item(
        "limits.bodies_bytes",
        bodies,
        f"{bodies // MIB:,} MiB: {held:,} photos twice as large as yours, two whole batches",
    )


def _resources(
    measured: Measured, process: Process, settings: Settings, bodies: int
) -> Iterator[Item]:
    """Of a container."""
    limits, cores = settings.limits, measured.cores
    yield Item("resources.requests.cpu", str(cores), "as measured")
    yield Item("resources.limits.cpu", str(cores), "as measured: threads are one for each core")
    request = _rounded(_MEMORY_ROOM * process.peak_bytes)
    photo = max(_PLAIN_PIXEL * limits.pixels, _JPEG_PIXEL * limits.jpeg_pixels)
    worst = process.workers * (bodies + process.threads * photo)
    yield Item(
        "resources.requests.memory",
        f"{request // MIB}Mi",
        f"it had {_mib(process.peak_bytes)} under load, {_mib(process.idle_bytes)} idle",
    )
    yield Item(
        "resources.limits.memory",
        f"{_rounded(request + worst) // MIB}Mi",
        f"all bodies, and {_mib(photo)} for the largest photo in each thread",
    )


def _replicas(measured: Measured, wanted: float | None) -> Iterator[Item]:
    """How many servers like the one that was measured."""
    one = TARGET * measured.capacity
    planned = f"{100 * TARGET:.0f}% of {measured.capacity:.3g}/s each"
    if wanted is None:
        yield Item("replicaCount", _FEWEST_REPLICAS, "so that one may go; --rate says more")
        least, most = _FEWEST_REPLICAS, 2 * _FEWEST_REPLICAS
        quiet, burst = "so that one may go", "no rate was given"
    else:
        needed = min(_MOST_REPLICAS, math.ceil(wanted / one))
        count = max(_FEWEST_REPLICAS, needed)
        yield Item("replicaCount", count, f"{wanted:g}/s, {planned}")
        least = max(_FEWEST_REPLICAS, math.ceil(_QUIET * needed))
        most = max(count + 1, math.ceil(_BURST * needed))
        quiet, burst = f"{100 * _QUIET:.0f}% of that", f"{_BURST:g} times that, for bursts"
        if least == _FEWEST_REPLICAS:
            quiet = "so that one may go"
    yield Item("autoscaling.enabled", True, "")
    yield Item("autoscaling.minReplicas", least, quiet)
    yield Item("autoscaling.maxReplicas", most, burst)


def _signals(measured: Measured, process: Process, queue: int) -> Iterator[Item]:
    """What another replica is to be started at."""
    step = measured.chosen.best
    used = measured.capacity * (step.server_cores or 0) / step.rate
    full = min(1.0, used / (measured.had_cores or 1))
    target = max(10, min(90, round(100 * TARGET * full)))
    yield Item(
        "autoscaling.targetCPUUtilizationPercentage",
        target,
        f"{100 * TARGET:.0f}% of the {100 * full:.0f}% that it takes at its most",
    )
    depth = max(1, min(round(_BACKLOG_S * measured.capacity), queue * process.workers))
    yield Item(
        "autoscaling.targetQueueDepth",
        depth,
        f"viewfinder_queue_depth of a pod: {_seconds(depth / measured.capacity)} of work",
    )


def _probes(measured: Measured, process: Process, settings: Settings) -> Iterator[Item]:
    """How long to wait for a container, at its start, under load, and at its end."""
    start_s = max(_LEAST_START_S, _STARTS * process.start_s)
    yield Item("probes.startup.periodSeconds", _STARTUP_PERIOD_S, "")
    yield Item(
        "probes.startup.failureThreshold",
        math.ceil(start_s / _STARTUP_PERIOD_S),
        f"{start_s:.0f} s: it started in {process.start_s:.1f} s",
    )
    slow = measured.chosen.best.p99_ms / 1000
    patience = max(_QUICKEST_PROBE_S, min(_SLOWEST_PROBE_S, math.ceil(2 * slow)))
    for name, period in (("readiness", _READINESS_PERIOD_S), ("liveness", _LIVENESS_PERIOD_S)):
        yield Item(f"probes.{name}.periodSeconds", period, "")
        yield Item(
            f"probes.{name}.timeoutSeconds", patience, f"p99 at its most is {_seconds(slow)}"
        )
    drain = settings.drain
    yield Item(
        "terminationGracePeriodSeconds",
        math.ceil(drain.delay_s + drain.timeout_s) + _LAST_S,
        f"{drain.delay_s:g} s until no more come, {drain.timeout_s:g} s for those in hand",
    )


def _rounded(size: float) -> int:
    return math.ceil(size / _ROUND_BYTES) * _ROUND_BYTES


def _mib(size: int) -> str:
    return f"{size / MIB:.0f} MiB"


def _seconds(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
