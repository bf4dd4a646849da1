"""One bounded queue a device, whose threads always take up what is most urgent.

The policy:

- Nobody waits while a thread is idle. A thread that comes free takes the work with the earliest
  deadline, and with it as much of the same kind as the device can use in one call: batches form
  only while the device is busy.
- Two lanes. `batch` gets what `interactive` leaves, and one turn in twenty when that is nothing.
- What cannot be done in time is refused at once, from the service times measured so far. What has
  expired, or whose waiter has gone, is never run.
- A call that fails is repeated in halves, until the culprit stands alone.
"""

import asyncio
import bisect
import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Literal, Self, TypeVar

from viewfinder.errors import DeadlineExceededError, NotReadyError, OverloadedError

Lane = Literal["interactive", "batch"]

Item = TypeVar("Item")
Result = TypeVar("Result")

_CLOSE_S = 20
# A thread that is so long over the deadline is lost in its work; nobody waits for it any more.
_LOST_S = 10
_BATCH_SHARE = 0.05
# One call computes while the next one's pixels are on their way.
_DEVICE_THREADS = 2
_LEARNING = 0.05
# The expected wait is a mean; this much longer is refused as well, so that few of those let in
# come too late.
_CAUTION = 1.25


class Stage(Generic[Item, Result]):
    """One kind of work, and how long it takes.

    Args:
        run: Called on a compute thread with 1 to `largest` items; gives a result for each.
        largest: Items in one call beyond which nothing is gained.

    Attributes:
        seconds: What a call takes, as a moving average; 0 until there was one.
    """

    def __init__(
        self, run: Callable[[Sequence[Item]], Sequence[Result]], *, largest: int = 1
    ) -> None:
        self.run = run
        self.largest = largest
        self.seconds = 0.0

    @property
    def cost(self) -> float:
        """Seconds of a thread that one more item takes."""
        return self.seconds / self.largest

    def learn(self, seconds: float) -> None:
        """Take a measured call into the average."""
        self.seconds += (seconds - self.seconds) * (_LEARNING if self.seconds else 1)


@dataclass(slots=True, eq=False)
class _Job:
    """One item and its waiter."""

    stage: Stage[Any, Any]
    item: Any
    deadline: float
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop

    def wanted(self, now: float) -> bool:
        """Whether somebody still waits for it, and in time."""
        return now <= self.deadline and not self.future.cancelled()

    def settle(self, result: Any, error: BaseException | None = None) -> None:
        """Wake the waiter, from whatever thread."""
        # The loop is closed only when the whole service is going away, and every waiter with it.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(_settle, self.future, result, error)


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # the waiter has gone
        return
    if error is None:
        future.set_result(result)
    elif isinstance(error, Exception) and not isinstance(error, StopIteration):
        future.set_exception(error)
    else:
        # An exit or an interrupt would end the event loop, and a future cannot hold the third.
        wrapped = RuntimeError(f"the work ended in {type(error).__name__}")
        wrapped.__cause__ = error
        future.set_exception(wrapped)


@dataclass(slots=True)
class _Outcome:
    """What came of a call, whatever came."""

    results: Sequence[Any] = ()
    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> Literal[True]:
        self.error = error
        return True


@dataclass(slots=True)
class _Lanes:
    """What waits, by lane, the earliest deadline first, and in order of arrival among equals."""

    interactive: list[_Job] = field(default_factory=list)
    batch: list[_Job] = field(default_factory=list)
    credit: float = 0.0

    def of(self, lane: Lane) -> list[_Job]:
        return self.interactive if lane == "interactive" else self.batch

    def next(self) -> _Job | None:
        """Take out the job whose turn it is."""
        if self.interactive and self.batch:
            self.credit += _BATCH_SHARE
        if self.batch and (not self.interactive or self.credit >= 1):
            self.credit = max(0.0, self.credit - 1)
            return self.batch.pop(0)
        return self.interactive.pop(0) if self.interactive else None

    def more(self, stage: Stage[Any, Any], count: int, now: float) -> list[_Job]:
        """Take out up to `count` further jobs of the same stage that can still be done."""
        taken: list[_Job] = []
        for jobs in (self.interactive, self.batch):
            same = [job for job in jobs if job.stage is stage and job.wanted(now)]
            same = same[: count - len(taken)]
            for job in same:
                jobs.remove(job)
            taken += same
        return taken


class Scheduler:
    """Runs work for coroutines on the threads of one device.

    Args:
        threads: How many calls run side by side.
        capacity: How many items may wait in each lane; one more is refused at once.
        name: Of the threads, for people who look at them.
        worked: Hears of each call, on its thread: how many items it had, and its seconds.

    Attributes:
        capacity: As given.
    """

    def __init__(
        self,
        *,
        threads: int,
        capacity: int,
        name: str = "compute",
        worked: Callable[[int, float], None] | None = None,
    ) -> None:
        self.capacity = capacity
        self._worked = worked
        self._lanes = _Lanes()
        self._changed = threading.Condition(threading.Lock())
        self._closing = False
        self._busy_until: dict[int, float] = {}
        self._calls: Stage[Callable[[], Any], Any] = Stage(lambda items: [items[0]()])
        self._threads = [
            threading.Thread(
                target=self._serve, args=(number,), name=f"{name}-{number}", daemon=True
            )
            for number in range(threads)
        ]

    @property
    def depth(self) -> int:
        """How many items wait."""
        return sum(self.depths.values())

    @property
    def depths(self) -> dict[Lane, int]:
        """How many items wait in each lane."""
        return {"interactive": len(self._lanes.interactive), "batch": len(self._lanes.batch)}

    @property
    def threads(self) -> int:
        """How many threads are alive."""
        return sum(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Let the threads finish what waits, and end them. Blocks; not for the event loop.

        A thread that is lost in its work after `_CLOSE_S` is left behind: it ends with the process.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        last = time.monotonic() + _CLOSE_S
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(0, last - time.monotonic()))
        with self._changed:
            while (job := self._lanes.next()) is not None:
                job.settle(None, NotReadyError("The server is stopping."))

    def expect(self, deadline: float) -> None:
        """Refuse early what `submit` would refuse: before it is read, as far as one can tell then.

        Args:
            deadline: As for `submit`, on the interactive lane.

        Raises:
            OverloadedError: The lane is full, or the turn would come too late.
        """
        jobs = self._lanes.interactive
        with self._changed:
            if not jobs:
                return
            cost = sum(job.stage.cost for job in jobs) / len(jobs)
            self._admit(deadline, cost, jobs)

    async def run(
        self, work: Callable[[], Result], *, deadline: float, lane: Lane = "interactive"
    ) -> Result:
        """Run `work` on a thread: see `submit`."""
        result: Result = await self.submit(self._calls, work, deadline=deadline, lane=lane)
        return result

    async def submit(
        self,
        stage: Stage[Item, Result],
        item: Item,
        *,
        deadline: float,
        lane: Lane = "interactive",
    ) -> Result:
        """Have an item worked on.

        Args:
            stage: What to do with it. It is done once, unless the waiter is cancelled or the
                deadline passes before; after a failure of a whole batch, once more.
            item: What `stage.run` is called with.
            deadline: On the clock of `time.monotonic`, when the work must have begun.
            lane: Who waits: a person, or a job.

        Raises:
            OverloadedError: The lane is full, or the turn would come too late.
            DeadlineExceededError: The deadline passed all the same.
            NotReadyError: The scheduler has closed.
            Exception: Whatever the work raised.
        """
        loop = asyncio.get_running_loop()
        job = _Job(stage, item, deadline, loop.create_future(), loop)
        jobs = self._lanes.of(lane)
        with self._changed:
            self._admit(deadline, stage.cost, jobs)
            bisect.insort(jobs, job, key=_deadline)
            self._changed.notify()
        try:
            async with asyncio.timeout_at(deadline + _LOST_S):
                result: Result = await job.future
        except TimeoutError as error:
            if job.future.done() and not job.future.cancelled():
                raise  # the work's own
            raise _expired() from error
        finally:
            if job.future.cancelled():
                with self._changed, contextlib.suppress(ValueError):
                    jobs.remove(job)
        return result

    def _admit(self, deadline: float, cost: float, jobs: list[_Job]) -> None:
        """Refuse what cannot be done in time."""
        if self._closing:
            raise NotReadyError("The server is stopping.")
        now = time.monotonic()
        left = deadline - now
        if left < 0:
            raise _expired()
        wait = self._expected_wait(deadline, jobs, now)
        if len(jobs) >= self.capacity:
            raise _overloaded(wait)
        if wait and wait * _CAUTION + cost > left:
            raise _overloaded(wait - left)

    def _expected_wait(self, deadline: float, jobs: list[_Job], now: float) -> float:
        """Seconds until the turn comes of what has this deadline."""
        place = bisect.bisect_right(jobs, deadline, key=_deadline)
        ahead = sum(other.stage.cost for other in jobs[:place])
        if jobs is self._lanes.batch:
            ahead += sum(other.stage.cost for other in self._lanes.interactive)
        if not ahead and len(self._busy_until) < len(self._threads):
            return 0.0
        running = sum(max(0.0, until - now) for until in self._busy_until.values())
        return (ahead + running) / len(self._threads)

    def _serve(self, number: int) -> None:
        while jobs := self._take(number):
            self._work(jobs)
            del jobs  # or it would keep the images in memory until the next ones come
            with self._changed:
                self._busy_until.pop(number, None)

    def _take(self, number: int) -> list[_Job]:
        """The next call's jobs; none when the scheduler has closed and nothing waits any more."""
        with self._changed:
            while True:
                job, now = self._lanes.next(), time.monotonic()
                if job is None:
                    if self._closing:
                        return []
                    self._changed.wait()
                elif job.wanted(now):
                    self._busy_until[number] = now + job.stage.seconds
                    return [job, *self._lanes.more(job.stage, job.stage.largest - 1, now)]
                else:
                    job.settle(None, _expired())  # which nobody hears if the waiter has gone

    def _work(self, jobs: Sequence[_Job]) -> None:
        stage = jobs[0].stage
        began = time.monotonic()
        with _Outcome() as outcome:
            outcome.results = list(stage.run([job.item for job in jobs]))
            if len(outcome.results) != len(jobs):
                raise RuntimeError(f"{len(outcome.results)} results for {len(jobs)} items")
        seconds = time.monotonic() - began
        if self._worked is not None:
            self._worked(len(jobs), seconds)
        if outcome.error is None:
            stage.learn(seconds)
            for job, result in zip(jobs, outcome.results, strict=True):
                job.settle(result)
        elif len(jobs) == 1:
            jobs[0].settle(None, outcome.error)
        else:
            middle = len(jobs) // 2
            self._work(jobs[:middle])
            self._work(jobs[middle:])


class Devices:
    """The queues of one process: the CPU's, and another device's once a model runs there.

    Args:
        threads: Compute threads of the CPU.
        capacity: How many items may wait in each lane of each.
        worked: Hears of each call, on its thread: the device, how many items, and its seconds.
    """

    def __init__(
        self,
        *,
        threads: int,
        capacity: int,
        worked: Callable[[str, int, float], None] | None = None,
    ) -> None:
        self._capacity = capacity
        self._worked = worked
        self.cpu = Scheduler(threads=threads, capacity=capacity, worked=self._heard_by("cpu"))
        self._others: dict[str, Scheduler] = {}

    def of(self, device: str) -> Scheduler:
        """The queue of a device, its threads running."""
        if device == "cpu":
            return self.cpu
        if device not in self._others:
            self._others[device] = Scheduler(
                threads=_DEVICE_THREADS,
                capacity=self._capacity,
                name=device,
                worked=self._heard_by(device),
            )
            self._others[device].start()
        return self._others[device]

    @property
    def queues(self) -> dict[str, Scheduler]:
        """The queues there are, by their device."""
        return {"cpu": self.cpu, **self._others}

    def _heard_by(self, device: str) -> Callable[[int, float], None] | None:
        return None if self._worked is None else partial(self._worked, device)

    def start(self) -> None:
        """Start the threads."""
        self.cpu.start()

    def close(self) -> None:
        """Finish what waits: decoding first, which feeds the others. Blocks."""
        for scheduler in (self.cpu, *self._others.values()):
            scheduler.close()


def _deadline(job: _Job) -> float:
    return job.deadline


def _expired() -> DeadlineExceededError:
    return DeadlineExceededError("The deadline passed while the image waited.")


def _overloaded(seconds: float) -> OverloadedError:
    return OverloadedError(
        "The server has more images waiting than it can answer in time; try again later.",
        retry_after_s=max(1, math.ceil(seconds)),
    )
