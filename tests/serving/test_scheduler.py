"""The queue before the cores."""

import asyncio
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest

from viewfinder.errors import DeadlineExceededError, OverloadedError
from viewfinder.serving.scheduler import Scheduler

FAR = time.monotonic() + 3600


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    running = Scheduler(threads=2, capacity=4)
    running.start()
    yield running
    running.close()


class Gate:
    """Work that holds a compute thread until it is let go."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self) -> str:
        self.entered.release()
        assert self.opened.wait(20)
        return "through"


async def _hold(scheduler: Scheduler, gate: Gate, count: int) -> list[asyncio.Task[str]]:
    """Occupy `count` threads."""
    tasks = [asyncio.create_task(scheduler.run(gate, deadline=FAR)) for _ in range(count)]
    for _ in range(count):
        assert await asyncio.to_thread(gate.entered.acquire, timeout=20)
    return tasks


async def test_work_runs_on_a_compute_thread_and_its_result_comes_back(
    scheduler: Scheduler,
) -> None:
    name = await scheduler.run(lambda: threading.current_thread().name, deadline=FAR)
    assert name.startswith("compute-")


async def test_as_many_run_side_by_side_as_there_are_threads(scheduler: Scheduler) -> None:
    gate = Gate()
    tasks = await _hold(scheduler, gate, 2)
    gate.opened.set()
    assert await asyncio.gather(*tasks) == ["through", "through"]


async def test_the_event_loop_goes_on_while_every_thread_works(scheduler: Scheduler) -> None:
    gate = Gate()
    tasks = await _hold(scheduler, gate, 2)
    for _ in range(100):
        await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(*tasks)


async def test_an_error_reaches_its_waiter_and_the_thread_lives_on(scheduler: Scheduler) -> None:
    def fail() -> None:
        raise KeyError("gone")

    for _ in range(5):
        with pytest.raises(KeyError):
            await scheduler.run(fail, deadline=FAR)
    assert scheduler.threads == 2
    assert await scheduler.run(lambda: 1, deadline=FAR) == 1


async def test_one_more_than_fits_is_refused_at_once(scheduler: Scheduler) -> None:
    gate = Gate()
    tasks = await _hold(scheduler, gate, 2)
    waiting = [asyncio.create_task(scheduler.run(lambda: 1, deadline=FAR)) for _ in range(4)]
    await asyncio.sleep(0)
    assert scheduler.depth == 4
    with pytest.raises(OverloadedError) as caught:
        await scheduler.run(lambda: 1, deadline=FAR)
    assert caught.value.retry_after_s >= 1
    gate.opened.set()
    assert await asyncio.gather(*tasks, *waiting) == ["through"] * 2 + [1] * 4


async def test_what_has_expired_is_not_run(scheduler: Scheduler) -> None:
    gate, ran = Gate(), []
    tasks = await _hold(scheduler, gate, 2)
    late = asyncio.create_task(scheduler.run(lambda: ran.append(1), deadline=time.monotonic()))
    await asyncio.sleep(0)
    gate.opened.set()
    with pytest.raises(DeadlineExceededError):
        await late
    await asyncio.gather(*tasks)
    assert not ran


async def test_what_nobody_waits_for_is_not_run(scheduler: Scheduler) -> None:
    gate, ran = Gate(), []
    tasks = await _hold(scheduler, gate, 2)
    gone = asyncio.create_task(scheduler.run(lambda: ran.append(1), deadline=FAR))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(*tasks)
    await scheduler.run(lambda: None, deadline=FAR)
    assert not ran


async def test_a_waiter_that_leaves_during_the_work_harms_nothing(scheduler: Scheduler) -> None:
    gate = Gate()
    (first, second) = await _hold(scheduler, gate, 2)
    first.cancel()
    gate.opened.set()
    assert await second == "through"
    assert await scheduler.run(lambda: 1, deadline=FAR) == 1


async def test_closing_finishes_what_waits() -> None:
    scheduler = Scheduler(threads=1, capacity=10)
    scheduler.start()
    tasks = [asyncio.create_task(scheduler.run(partial(abs, n), deadline=FAR)) for n in range(5)]
    await asyncio.sleep(0)
    await asyncio.to_thread(scheduler.close)
    assert await asyncio.gather(*tasks) == [0, 1, 2, 3, 4]
    assert scheduler.threads == 0
