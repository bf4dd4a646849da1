"""A job of thousands of photos against what the cores can do, and what it costs those who wait.

    python -m benchmarks.jobs [--photos 5000] [--rounds 3] [--seconds 20] [--quick]

Runs the parts of a server in this process, with SQLite and blobs in a folder. The result cache and
the record of results are off. Each round takes the limit, the job and the limit again; then
interactive photos arrive at 30% of the limit, first alone, then beside a job.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uuid_utils

from benchmarks.compute import alone_ms, builtin, limit
from benchmarks.harness import Figure, median, parse, parser, percentile, photos, save
from viewfinder.api.services import Services
from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.registry.scanning import BUILTIN_MODEL
from viewfinder.settings import CacheSettings, Settings
from viewfinder.shared.machine import available_cores
from viewfinder.storage.jobs.places import input_key
from viewfinder.storage.jobs.rows import Job, JobItem
from viewfinder.storage.jobs.table import Jobs

_LOAD = 0.3
_CALIBRATION_S = 6
_PATIENCE_S = 30
_LOOK_S = 1.0  # oftener, it would take its share of the cores


@dataclass(frozen=True, slots=True)
class Bench:
    """What is driven."""

    services: Services
    jobs: Jobs
    pictures: Sequence[bytes]

    async def submit(self, count: int) -> str:
        """A job of that many photos."""
        pictures = self.pictures
        now = datetime.now(UTC)
        job = Job(str(uuid_utils.uuid7()), now, BUILTIN_MODEL, 1, 5, 0.0, count)
        for position in range(count):
            key = input_key(job.id, position)
            self.services.blobs.put(key, pictures[position % len(pictures)])
        items = [JobItem(position, f"{position}.jpg") for position in range(count)]
        await self.jobs.add(job, items, most_waiting=10)
        return job.id

    async def work(self, count: int) -> float:
        """Photos per second of a job, from its first photo to its end."""
        identifier = await self.submit(count)
        if self.services.jobs is not None:
            self.services.jobs.wake()
        while True:
            job = await self.jobs.get(identifier)
            if job.is_finished:
                break
            await asyncio.sleep(_LOOK_S)
        if job.succeeded != count:
            raise RuntimeError(f"not every photo was answered: {job}")
        if job.started is None or job.finished is None:
            raise RuntimeError(f"over, and without its times: {job}")
        return count / (job.finished - job.started).total_seconds()

    async def arrive(self, rate: float, seconds: float) -> list[float]:
        """Interactive photos at a constant rate; the milliseconds of each."""
        began = time.perf_counter()
        asked: list[asyncio.Task[float]] = []
        async with asyncio.TaskGroup() as group:
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0, began + number / rate - time.perf_counter()))
                asked.append(group.create_task(self._ask(number)))
        return [task.result() for task in asked]

    async def _ask(self, number: int) -> float:
        began = time.perf_counter()
        photo = self.pictures[number % len(self.pictures)]
        await self.services.classify.classify(photo, deadline=time.monotonic() + _PATIENCE_S)
        return (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure, print and save."""
    arguments = parse(parser(__doc__, photos=(5000, 200), rounds=(3, 1), seconds=(20, 3)))
    with tempfile.TemporaryDirectory() as home:
        asyncio.run(measure(Path(home), arguments.photos, arguments.rounds, arguments.seconds))


@asynccontextmanager
async def working(home: Path) -> AsyncIterator[Bench]:
    """The parts of a server that works on jobs."""
    settings = Settings(home=home, record="none", cache=CacheSettings(enabled=False))
    services = build_services(settings, lasting=True)
    database = await services.database.open()
    async with running(services):
        yield Bench(services, Jobs(database), photos())


async def measure(home: Path, count: int, rounds: int, seconds: float) -> None:
    """The rounds, and what came of them."""
    cores = available_cores()
    loaded, pictures = builtin(threads=cores), photos()

    async def possible() -> float:
        return await asyncio.to_thread(
            limit, loaded, pictures, threads=cores, seconds=_CALIBRATION_S
        )

    ratios, rates, alone, beside = [], [], [], []
    async with working(home) as bench:
        before = await possible()
        for number in range(rounds):
            rate = await bench.work(count)
            after = await possible()
            ratios.append(rate / ((before + after) / 2))
            rates.append(rate)
            print(f"round {number + 1}: {rate:.1f}/s of {before:.1f} and {after:.1f}", flush=True)
            before = after
        image_ms = max(
            await asyncio.to_thread(alone_ms, loaded, pictures, seconds=_CALIBRATION_S),
            1000 * cores / before,
        )
        for _ in range(rounds):
            alone += await bench.arrive(before * _LOAD, seconds)
            busy = asyncio.create_task(bench.work(int(before * seconds)))
            await asyncio.sleep(1)
            beside += await bench.arrive(before * _LOAD, seconds)
            await busy
    most = 1.3 * percentile(alone, 99) + image_ms
    figures = [
        Figure("photos/s of a job", median(rates)),
        Figure("the same, of the limit", median(ratios), at_least=0.90),
        Figure("interactive alone, p50, ms", percentile(alone, 50)),
        Figure("interactive alone, p99, ms", percentile(alone, 99)),
        Figure("beside a job, p50, ms", percentile(beside, 50)),
        Figure("beside a job, p99, ms", percentile(beside, 99), at_most=most),
    ]
    save("jobs", figures, image_ms=image_ms, ratios=ratios, photos=count)


if __name__ == "__main__":
    main()
