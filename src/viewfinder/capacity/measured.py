"""What was measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# A rate under this share of the highest one is no longer as high: less than that is noise.
_AS_HIGH = 0.97
# Processor time that all cores together must have given for a machine to count as full.
_FULL = 0.9
# A server that does so much more than the model by itself has not had the same machine.
_NOISE = 1.1
# An event loop that is busier than this is what others wait for. Likewise, a process that does less
# than this of what the model allows.
_LOOP_FULL = 0.8
# Several processes take their memory several times: they are to be worth it.
_BETTER = 1.1
_MOST_WORKERS = 64  # that one server can have
# More clients get nothing more when so many steps in a row have each gained less than that, and
# the slowest answers have become so many times slower; or when so many are refused.
_FEWEST_STEPS, _PATIENCE, _GROWTH, _EXPLODED = 4, 2, 1.05, 3.0
_REFUSING = 0.01


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work, done in this process.

    Attributes:
        p50_ms: Milliseconds of one photo after the other on one thread, the median.
        per_second: Photos per second of all threads together.
    """

    p50_ms: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Compute:
    """What the model costs without a server.

    Attributes:
        threads: How many `Work.per_second` is of.
        share: What all threads together got of their cores, 0-1; less than all where something
            else was running, or the machine took time away. 1 where a device does the work.
        decode: Decoding and resizing.
        inference: The graph.
        both: All that a compute thread does for a photo: the limit of a server.
    """

    threads: int
    decode: Work
    inference: Work
    both: Work
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """What so many clients got, each of whom asks again as soon as it is answered.

    Attributes:
        clients: How many there were.
        rate: Answers per second.
        p50_ms: Until the answer was there; of answers only. 0 where there was none.
        p99_ms: Likewise.
        answered: Photos that were classified.
        refused: Requests answered with 429, 503 or 504.
        failed: Requests that got another answer, or none.
        client_cores: Cores that the clients, of this process, were busy with.
        server_cores: Cores that the server was busy with; None where it is elsewhere.
        loop_share: How busy its busiest event loop was, 0-1; None where it is elsewhere.
    """

    clients: int
    rate: float
    p50_ms: float
    p99_ms: float
    answered: int
    refused: int = 0
    failed: int = 0
    client_cores: float = 0.0
    server_cores: float | None = None
    loop_share: float | None = None

    @property
    def per_core(self) -> float | None:
        """Answers for each second of a core that the server took; None where it is elsewhere."""
        return self.rate / self.server_cores if self.server_cores else None

    @property
    def unanswered(self) -> float:
        """The share of requests that got no answer, 0-1."""
        lost = self.refused + self.failed
        return lost / (lost + self.answered) if lost else 0.0


@dataclass(frozen=True, slots=True)
class Process:
    """The server that was measured, with all of its processes.

    Attributes:
        workers: How many of them serve.
        threads: Compute threads of each.
        start_s: Seconds from its start until it was ready, with a home that nothing was in.
        idle_bytes: Memory in RAM before the first request.
        peak_bytes: The most that it had under load.
    """

    workers: int
    threads: int
    start_s: float
    idle_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Served:
    """A server under load.

    Attributes:
        steps: From one client to many; never empty.
        process: What it is; None where it is elsewhere.
    """

    steps: tuple[Step, ...]
    process: Process | None = None

    @property
    def best(self) -> Step:
        """Where throughput stops growing: the fewest clients that get as much as any number."""
        most = max(step.rate for step in self.steps)
        return next(step for step in self.steps if step.rate >= _AS_HIGH * most)


@dataclass(frozen=True, slots=True)
class Pictures:
    """What the photos were like, on which decoding depends.

    Attributes:
        source: Where they are from.
        count: How many were sent, in turn.
        left_out: Others, that no server would take.
        bytes: Of the smallest, the median and the largest file.
        pixels: Width and height of the smallest and the largest.
    """

    source: str
    count: int
    left_out: int
    bytes: tuple[int, int, int]
    pixels: tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything.

    Attributes:
        model: `name@version`.
        variant: Which of its graphs.
        pictures: The photos.
        served: The server with one process for all cores, or the one elsewhere.
        url: Of a server elsewhere; None for this machine.
        machine: The processor of this one.
        cores: Cores that this process may use.
        device: Where the graph ran.
        compute: What the model costs without a server; None for one elsewhere.
        split: The same server with several processes; None where one is enough.
        varied: Whether each photo was made different, as the server elsewhere keeps its answers.
    """

    model: str
    variant: str
    pictures: Pictures
    served: Served
    machine: str
    cores: int
    url: str | None = None
    device: str = "cpu"
    compute: Compute | None = None
    split: Served | None = None
    varied: bool = False

    @property
    def chosen(self) -> Served:
        """The server that did more; one process, unless several are clearly better."""
        if self.split is None or self.split.best.rate < _BETTER * self.served.best.rate:
            return self.served
        return self.split

    @property
    def had_cores(self) -> float:
        """Cores that there were for the server and its clients: something else may have run."""
        step, share = self.chosen.best, self.compute.share if self.compute is not None else 1.0
        return max(self.cores * share, step.client_cores + (step.server_cores or 0))

    @property
    def capacity(self) -> float:
        """Photos per second that the server does when it need not share its cores with clients.

        Where all cores were busy, it would have had theirs too; that adds no more than to what the
        model allows without a server.
        """
        step, compute = self.chosen.best, self.compute
        busy, cores = step.server_cores, self.had_cores
        if not busy or compute is None or busy + step.client_cores < _FULL * cores:
            return step.rate
        return max(step.rate, min(step.rate * cores / busy, compute.both.per_second))

    @property
    def was_quiet(self) -> bool:
        """Whether nothing seems to have run beside."""
        compute = self.compute
        if compute is None:
            return True
        return compute.share >= _FULL and self.capacity <= _NOISE * compute.both.per_second


def wants_workers(measured: Measured) -> int:
    """How many processes are worth a try, after one.

    Returns:
        1 where one process does what the cores allow: more would only take memory. More where its
        event loop is busy all the time, or cores are idle although clients wait: the interpreter
        of one process runs one thread at a time.
    """
    best, compute = measured.served.best, measured.compute
    if compute is None or best.server_cores is None or best.loop_share is None:
        return 1
    limit = compute.both.per_second
    idle = best.server_cores + best.client_cores < _FULL * measured.had_cores
    if best.loop_share < _LOOP_FULL and not (idle and best.rate < _LOOP_FULL * limit):
        return 1
    wished = math.ceil(limit / (_LOOP_FULL * best.rate))
    return max(1, min(wished, compute.threads, _MOST_WORKERS))


def growing(steps: Sequence[Step]) -> bool:
    """Whether more clients could get more than those so far."""
    if not steps:
        return True
    last = steps[-1]
    if last.unanswered > _REFUSING:
        return False
    if len(steps) < _FEWEST_STEPS:
        return True
    before = max(step.rate for step in steps[:-_PATIENCE])
    flat = all(step.rate < _GROWTH * before for step in steps[-_PATIENCE:])
    return not (flat and last.p99_ms > _EXPLODED * steps[0].p99_ms)
