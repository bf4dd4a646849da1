"""Jobs beside people: what a saturated batch lane costs those who wait, and the other way round.

    python -m benchmarks.lanes [--seconds 20] [--rounds 3] [--quick]

Drives the scheduler in this process with real decoding and inference. Interactive photos arrive at
30% of what the cores can do and wait for nobody; the batch lane always has work waiting. Then both
lanes always have work waiting, and the batch lane's share is counted.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.compute import alone_ms, builtin, infer, limit
from benchmarks.harness import Figure, median, parse, parser, percentile, photos, save
from viewfinder.engines.loader import LoadedVariant
from viewfinder.serving.queue.lanes import Lane
from viewfinder.serving.queue.scheduler import Scheduler
from viewfinder.shared.machine import available_cores

_LOAD = 0.3
_CAPACITY = 256
_WAITING = 8  # in a saturated lane, for each core
_PATIENCE_S = 60
_CALIBRATION_S = 2


@dataclass(frozen=True, slots=True)
class Bench:
    """What is driven."""

    scheduler: Scheduler
    loaded: LoadedVariant
    pictures: Sequence[bytes]

    async def ask(self, number: int, lane: Lane) -> float:
        """Milliseconds of one photo."""
        began = time.perf_counter()
        await self.scheduler.run(
            partial(infer, self.loaded, self.pictures[number % len(self.pictures)]),
            deadline=time.monotonic() + _PATIENCE_S,
            lane=lane,
        )
        return (time.perf_counter() - began) * 1000

    async def saturate(self, lane: Lane, times: list[float]) -> None:
        """Keep work waiting in a lane until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_WAITING * available_cores()):
                group.create_task(self._again(lane, times))

    async def _again(self, lane: Lane, times: list[float]) -> None:
        while True:
            times.append(await self.ask(len(times), lane))

    async def arrive(self, rate: float, seconds: float) -> list[float]:
        """Interactive photos at a constant rate; the milliseconds of each."""
        began = time.perf_counter()
        asked: list[asyncio.Task[float]] = []
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0, began + number / rate - time.perf_counter()))
                asked.append(group.create_task(self.ask(number, "interactive")))
        return [task.result() for task in asked]


@dataclass(slots=True)
class Round:
    """Milliseconds and photos of one round."""

    alone: list[float] = field(default_factory=list)
    beside: list[float] = field(default_factory=list)
    batch_beside: float = 0.0
    share: float = 0.0

    def summary(self) -> dict[str, float]:
        """The numbers that are compared."""
        return {
            "alone_p50": percentile(self.alone, 50),
            "alone_p99": percentile(self.alone, 99),
            "beside_p50": percentile(self.beside, 50),
            "beside_p99": percentile(self.beside, 99),
            "batch_per_second": self.batch_beside,
            "batch_share": self.share,
        }


def main() -> None:
    """Measure, print and save."""
    arguments = parse(parser(__doc__, seconds=(20, 3), rounds=(3, 1)))
    cores = available_cores()
    loaded, pictures = builtin(threads=cores), photos()
    scheduler = Scheduler(threads=cores, capacity=_CAPACITY)
    scheduler.start()
    bench = Bench(scheduler, loaded, pictures)
    possible = limit(loaded, pictures, threads=cores, seconds=_CALIBRATION_S)
    # With every core at work, as beside a saturated lane: that is what an arrival waits for.
    image_ms = max(alone_ms(loaded, pictures, seconds=_CALIBRATION_S), 1000 * cores / possible)
    print(f"possible: {possible:.1f} photos/s; one photo {image_ms:.1f} ms", flush=True)
    rounds = []
    for number in range(arguments.rounds):
        measured = asyncio.run(one_round(bench, possible * _LOAD, arguments.seconds)).summary()
        rounds.append(measured)
        shown = ", ".join(f"{name} {value:.2f}" for name, value in measured.items())
        print(f"round {number + 1}: {shown}", flush=True)
    scheduler.close()
    report({name: median([one[name] for one in rounds]) for name in rounds[0]}, image_ms, possible)


async def one_round(bench: Bench, rate: float, seconds: float) -> Round:
    """Interactive alone, interactive beside batch, both saturated."""
    measured = Round()
    measured.alone = await bench.arrive(rate, seconds)

    batch: list[float] = []
    filling = asyncio.create_task(bench.saturate("batch", batch))
    measured.beside = await bench.arrive(rate, seconds)
    measured.batch_beside = len(batch) / seconds

    interactive: list[float] = []
    pushing = asyncio.create_task(bench.saturate("interactive", interactive))
    await asyncio.sleep(seconds / 4)  # until the queues have filled
    batch_before, interactive_before = len(batch), len(interactive)
    await asyncio.sleep(seconds)
    batch_done, both_done = len(batch) - batch_before, len(interactive) - interactive_before
    both_done += batch_done
    measured.share = batch_done / both_done

    for task in (filling, pushing):
        # A lane that failed would have ended by itself, and says so here.
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(filling, pushing, return_exceptions=True)
    return measured


def report(result: dict[str, float], image_ms: float, possible: float) -> None:
    """Print and save."""
    most = 1.3 * result["alone_p99"] + image_ms
    figures = [
        Figure("interactive alone, p50, ms", result["alone_p50"]),
        Figure("interactive alone, p99, ms", result["alone_p99"]),
        Figure("beside a saturated batch lane, p50, ms", result["beside_p50"]),
        Figure("beside a saturated batch lane, p99, ms", result["beside_p99"], at_most=most),
        Figure("batch photos/s beside 30% interactive", result["batch_per_second"]),
        Figure("batch share, both lanes saturated, %", 100 * result["batch_share"], 4, 6),
    ]
    save("lanes", figures, image_ms=image_ms, possible_per_second=possible, medians=result)


if __name__ == "__main__":
    main()
