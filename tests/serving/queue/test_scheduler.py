"""The queue before the cores."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
from tests.serving.queues import depth

from viewfinder.errors import DeadlineExceededError, NotReadyError, OverloadedError
from viewfinder.serving.queue.devices import Devices
from viewfinder.serving.queue.lanes import Lane, Stage
from viewfinder.serving.queue.scheduler import Scheduler

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


@asynccontextmanager
async def _one_thread(capacity: int = 100) -> AsyncIterator[tuple[Scheduler, Gate]]:
    """A scheduler whose only thread is held until the gate opens."""
    scheduler, gate = Scheduler(threads=1, capacity=capacity), Gate()
    scheduler.start()
    (task,) = await _hold(scheduler, gate, 1)
    try:
        yield scheduler, gate
    finally:
        gate.opened.set()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(scheduler.close)


async def _all_waiting(scheduler: Scheduler, count: int) -> None:
    for _ in range(1000):
        if depth(scheduler) == count:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"{depth(scheduler)} wait, not {count}")


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
    assert depth(scheduler) == 4
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


async def test_the_earliest_deadline_comes_first() -> None:
    order: list[str] = []
    async with _one_thread() as (scheduler, gate):
        waiting = [
            asyncio.create_task(scheduler.run(partial(order.append, name), deadline=FAR + seconds))
            for name, seconds in (("last", 30), ("first", 10), ("middle", 20), ("second", 10))
        ]
        await _all_waiting(scheduler, 4)
        gate.opened.set()
        await asyncio.gather(*waiting)
    assert order == ["first", "second", "middle", "last"]


async def test_the_batch_lane_gets_what_is_left_and_one_turn_in_twenty() -> None:
    order: list[str] = []
    counts: dict[Lane, int] = {"batch": 10, "interactive": 60}
    async with _one_thread() as (scheduler, gate):
        waiting = [
            asyncio.create_task(scheduler.run(partial(order.append, lane), deadline=FAR, lane=lane))
            for lane, count in counts.items()
            for _ in range(count)
        ]
        await _all_waiting(scheduler, 70)
        gate.opened.set()
        await asyncio.gather(*waiting)
    assert order[:60].count("batch") == 3
    assert order[63:] == ["batch"] * 7


async def test_each_lane_has_its_own_bound() -> None:
    lanes: tuple[Lane, ...] = ("batch", "interactive")
    async with _one_thread(capacity=2) as (scheduler, gate):
        waiting = [
            asyncio.create_task(scheduler.run(lambda: 1, deadline=FAR, lane=lane))
            for lane in lanes
            for _ in range(2)
        ]
        await _all_waiting(scheduler, 4)
        with pytest.raises(OverloadedError):
            scheduler.expect(FAR)
        for lane in lanes:
            with pytest.raises(OverloadedError):
                await scheduler.run(lambda: 1, deadline=FAR, lane=lane)
        gate.opened.set()
        await asyncio.gather(*waiting)


async def test_what_cannot_be_in_time_is_refused_at_once() -> None:
    slow: Stage[int, int] = Stage(list)
    slow.learn(2.0)
    now = time.monotonic()
    async with _one_thread() as (scheduler, gate):

        async def submit(number: int, seconds: float) -> int:
            return await scheduler.submit(slow, number, deadline=now + seconds)

        waiting = [asyncio.create_task(submit(number, 12)) for number in range(4)]
        await _all_waiting(scheduler, 4)
        with pytest.raises(OverloadedError) as caught:  # eight seconds of work are before it
            await submit(4, 12)
        assert caught.value.retry_after_s == 1
        with pytest.raises(OverloadedError):
            scheduler.expect(now + 12)
        scheduler.expect(now + 5)
        # Before one that is more urgent there is nothing, and one that has time can wait.
        waiting += [asyncio.create_task(submit(number, s)) for number, s in ((5, 5), (6, 30))]
        await _all_waiting(scheduler, 6)
        gate.opened.set()
        assert await asyncio.gather(*waiting) == [0, 1, 2, 3, 5, 6]


async def test_service_times_are_learned_from_what_was_measured(scheduler: Scheduler) -> None:
    def work(items: Sequence[float]) -> list[float]:
        time.sleep(items[0])
        return list(items)

    stage = Stage(work)
    await scheduler.submit(stage, 0.05, deadline=FAR)
    assert stage.seconds >= 0.05
    first = stage.seconds
    await scheduler.submit(stage, 0.0, deadline=FAR)
    assert first * 0.9 < stage.seconds < first


async def test_an_idle_server_tries_whatever_comes(scheduler: Scheduler) -> None:
    slow: Stage[int, int] = Stage(list)
    slow.learn(3600.0)
    assert await scheduler.submit(slow, 1, deadline=time.monotonic() + 5) == 1


async def test_what_has_expired_when_it_comes_is_told_so() -> None:
    async with _one_thread() as (scheduler, _):
        with pytest.raises(DeadlineExceededError):
            await scheduler.run(lambda: 1, deadline=time.monotonic() - 1)
        assert depth(scheduler) == 0


async def test_whoever_leaves_makes_room_at_once() -> None:
    async with _one_thread(capacity=1) as (scheduler, gate):
        for _ in range(1000):
            gone = asyncio.create_task(scheduler.run(lambda: 1, deadline=FAR))
            await asyncio.sleep(0)
            assert depth(scheduler) == 1
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            assert depth(scheduler) == 0
        gate.opened.set()


async def test_batches_form_only_while_busy() -> None:
    sizes: list[int] = []

    def work(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return [2 * item for item in items]

    stage, other = Stage(work, largest=4), Stage(work, largest=4)
    async with _one_thread() as (scheduler, gate):
        waiting = [asyncio.create_task(scheduler.submit(stage, n, deadline=FAR)) for n in range(9)]
        await _all_waiting(scheduler, 9)
        stranger = asyncio.create_task(scheduler.submit(other, 100, deadline=FAR))
        await _all_waiting(scheduler, 10)
        gate.opened.set()
        assert await asyncio.gather(*waiting) == [2 * n for n in range(9)]
        assert await stranger == 200
        assert sizes == [4, 4, 1, 1]
        assert await scheduler.submit(stage, 5, deadline=FAR) == 10
    assert sizes[-1] == 1


async def test_a_batch_that_fails_is_split_until_the_culprit_stands_alone() -> None:
    def work(items: Sequence[int]) -> list[int]:
        if 3 in items:
            raise KeyError("three")
        return list(items)

    stage = Stage(work, largest=8)
    async with _one_thread() as (scheduler, gate):
        waiting = [asyncio.create_task(scheduler.submit(stage, n, deadline=FAR)) for n in range(8)]
        await _all_waiting(scheduler, 8)
        gate.opened.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [a for n, a in enumerate(answers) if n != 3] == [0, 1, 2, 4, 5, 6, 7]
    assert isinstance(answers[3], KeyError)


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, MemoryError])
async def test_whatever_ends_the_work_its_waiter_hears_of_it(
    scheduler: Scheduler, error: type[BaseException]
) -> None:
    def work() -> None:
        raise error

    for _ in range(4):
        with pytest.raises((RuntimeError, MemoryError)):
            await asyncio.wait_for(scheduler.run(work, deadline=FAR), 20)
    assert scheduler.threads == 2


async def test_work_that_gives_too_little_fails_everybody_in_its_batch() -> None:
    stage: Stage[int, int] = Stage(lambda _: [], largest=2)
    async with _one_thread() as (scheduler, gate):
        waiting = [asyncio.create_task(scheduler.submit(stage, n, deadline=FAR)) for n in range(2)]
        await _all_waiting(scheduler, 2)
        gate.opened.set()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(answer) for answer in answers] == [RuntimeError, RuntimeError]
        assert scheduler.threads == 1


async def test_nobody_waits_for_a_thread_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viewfinder.serving.queue.scheduler._LOST_S", 0.05)
    async with _one_thread() as (scheduler, _):
        with pytest.raises(DeadlineExceededError):
            await scheduler.run(lambda: 1, deadline=time.monotonic() + 0.05)
        assert depth(scheduler) == 0


async def test_a_scheduler_that_has_closed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("viewfinder.serving.queue.scheduler._CLOSE_S", 0.05)
    async with _one_thread() as (scheduler, gate):
        left = asyncio.create_task(scheduler.run(lambda: 1, deadline=FAR))
        await _all_waiting(scheduler, 1)
        await asyncio.to_thread(scheduler.close)
        with pytest.raises(NotReadyError):
            await left
        with pytest.raises(NotReadyError):
            await scheduler.run(lambda: 1, deadline=FAR)
        gate.opened.set()


async def test_each_device_has_a_queue_of_its_own() -> None:
    devices = Devices(threads=1, capacity=4)
    devices.start()
    assert devices.of("cpu") is devices.cpu
    gpu = devices.of("gpu")
    assert gpu is devices.of("gpu")
    assert await gpu.run(lambda: threading.current_thread().name, deadline=FAR) in {
        "gpu-0",
        "gpu-1",
    }
    await asyncio.to_thread(devices.close)
    assert (devices.cpu.threads, gpu.threads) == (0, 0)
