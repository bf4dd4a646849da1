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
from dataclasses import dataclass
from typing import Any, Literal, Self

from viewfinder.errors import DeadlineExceededError, NotReadyError, OverloadedError
from viewfinder.serving.queue.lanes import Item, Job, Lane, Lanes, Result, Stage, deadline_of

_CLOSE_S = 20
# A thread that is so long over the deadline is lost in its work; nobody waits for it any more.
_LOST_S = 10
# The expected wait is a mean; this much longer is refused as well, so that few of those let in
# come too late.
_CAUTION = 1.25


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
        self._lanes = Lanes()
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
        job = Job(stage, item, deadline, loop.create_future(), loop)
        jobs = self._lanes.of(lane)
        with self._changed:
            self._admit(deadline, stage.cost, jobs)
            bisect.insort(jobs, job, key=deadline_of)
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

    def _admit(self, deadline: float, cost: float, jobs: list[Job]) -> None:
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

    def _expected_wait(self, deadline: float, jobs: list[Job], now: float) -> float:
        """Seconds until the turn comes of what has this deadline."""
        place = bisect.bisect_right(jobs, deadline, key=deadline_of)
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

    def _take(self, number: int) -> list[Job]:
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

    def _work(self, jobs: Sequence[Job]) -> None:
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


def _expired() -> DeadlineExceededError:
    return DeadlineExceededError("The deadline passed while the image waited.")


def _overloaded(seconds: float) -> OverloadedError:
    return OverloadedError(
        "The server has more images waiting than it can answer in time; try again later.",
        retry_after_s=max(1, math.ceil(seconds)),
    )
