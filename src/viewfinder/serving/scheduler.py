"""One bounded queue, one compute thread per core: the event loop never blocks, no core waits."""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

from viewfinder.errors import DeadlineExceededError, OverloadedError

_RETRY_AFTER_S = 1
_CLOSE_S = 20

T = TypeVar("T")


@dataclass(slots=True)
class _Job:
    """Work and its waiter. Used as a context, so that every way out of the work settles it."""

    work: Callable[[], Any]
    deadline: float
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> Literal[True]:
        # The loop is closed only when the whole service is going away, and every waiter with it.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(_settle, self.future, self.result, error)
        return True


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # the waiter has gone
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class Scheduler:
    """Runs work for coroutines on compute threads, in order of arrival.

    Args:
        threads: How many pieces of work run side by side.
        capacity: How many may wait; one more is refused at once.
    """

    def __init__(self, *, threads: int, capacity: int) -> None:
        self._queue: queue.Queue[_Job | None] = queue.Queue(maxsize=capacity)
        self._threads = [
            threading.Thread(target=self._serve, name=f"compute-{number}", daemon=True)
            for number in range(threads)
        ]

    @property
    def depth(self) -> int:
        """How many pieces of work wait."""
        return self._queue.qsize()

    @property
    def threads(self) -> int:
        """How many compute threads are alive."""
        return sum(thread.is_alive() for thread in self._threads)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Let the threads finish what waits, and end them. Blocks; not for the event loop.

        A thread that is lost in its work after `_CLOSE_S` is left behind: it ends with the process.
        """
        last = time.monotonic() + _CLOSE_S
        for _ in self._threads:
            with contextlib.suppress(queue.Full):
                self._queue.put(None, timeout=max(0, last - time.monotonic()))
        for thread in self._threads:
            thread.join(max(0, last - time.monotonic()))

    async def run(self, work: Callable[[], T], *, deadline: float) -> T:
        """Run `work` on a compute thread.

        Args:
            work: Called once, unless its waiter is cancelled or its deadline passes before.
            deadline: On the clock of `time.monotonic`, when the work must have begun.

        Returns:
            What `work` returned.

        Raises:
            OverloadedError: The queue is full.
            DeadlineExceededError: No thread was free before the deadline.
            Exception: Whatever `work` raised.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        try:
            self._queue.put_nowait(_Job(work, deadline, future, loop))
        except queue.Full:
            raise OverloadedError(
                "The server has more images waiting than it can answer in time; try again later.",
                retry_after_s=_RETRY_AFTER_S,
            ) from None
        return await future

    def _serve(self) -> None:
        while (job := self._queue.get()) is not None:
            if not job.future.cancelled():
                with job:
                    if time.monotonic() > job.deadline:
                        raise DeadlineExceededError("The deadline passed while the image waited.")
                    job.result = job.work()
            del job  # or it would keep the image in memory until the next one comes
