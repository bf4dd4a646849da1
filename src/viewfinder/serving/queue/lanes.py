"""What waits for a thread: kinds of work, jobs with their waiters, and whose turn it is."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

Lane = Literal["interactive", "batch"]
Item = TypeVar("Item")
Result = TypeVar("Result")
_BATCH_SHARE = 0.05
_LEARNING = 0.05


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
        self.seconds = moving_average(self.seconds, seconds, _LEARNING)


@dataclass(slots=True, eq=False)
class Job:
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
class Lanes:
    """What waits, by lane, the earliest deadline first, and in order of arrival among equals."""

    interactive: list[Job] = field(default_factory=list)
    batch: list[Job] = field(default_factory=list)
    credit: float = 0.0

    def of(self, lane: Lane) -> list[Job]:
        """What waits in a lane."""
        return self.interactive if lane == "interactive" else self.batch

    def next(self) -> Job | None:
        """Take out the job whose turn it is."""
        if self.interactive and self.batch:
            self.credit += _BATCH_SHARE
        if self.batch and (not self.interactive or self.credit >= 1):
            self.credit = max(0.0, self.credit - 1)
            return self.batch.pop(0)
        return self.interactive.pop(0) if self.interactive else None

    def more(self, stage: Stage[Any, Any], count: int, now: float) -> list[Job]:
        """Take out up to `count` further jobs of the same stage that can still be done."""
        taken: list[Job] = []
        for jobs in (self.interactive, self.batch):
            same = [job for job in jobs if job.stage is stage and job.wanted(now)]
            same = same[: count - len(taken)]
            for job in same:
                jobs.remove(job)
            taken += same
        return taken


def moving_average(average: float, value: float, weight: float) -> float:
    """Take a value in.

    Args:
        average: Before; 0 if there was no value yet.
        value: The new one.
        weight: Of it, 0-1.
    """
    return average + (value - average) * (weight if average else 1)


def deadline_of(job: Job) -> float:
    """By which the jobs of a lane are ordered."""
    return job.deadline
