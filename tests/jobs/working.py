"""A process that works on jobs, without HTTP, in the event loop of a test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tests.jobs.making import a_job, photos_of
from tests.support import grey

from viewfinder.api.services import Services
from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.settings import CacheSettings, JobSettings, Settings
from viewfinder.storage.database import Database
from viewfinder.storage.jobs.places import input_key
from viewfinder.storage.jobs.rows import Job, JobItem
from viewfinder.storage.jobs.table import Jobs
from viewfinder.storage.tables import deliveries

CALLBACK = "https://receiver.invalid/done"


def to_work(settings: Settings, **changes: Any) -> Settings:
    """Settings of a process with one thread, whose leases are short."""
    given: dict[str, Any] = {
        "threads": 1,
        "record": "none",
        "cache": CacheSettings(enabled=False),
        "jobs": JobSettings(lease_s=1),
    }
    return settings.model_copy(update=given | changes)


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[Services]:
    """The parts of such a process, which looks for jobs at once."""
    services = build_services(settings, lasting=True)
    async with running(services, preload=False):
        wake(services)
        yield services


def wake(services: Services) -> None:
    """Have it look for jobs now."""
    assert services.jobs is not None
    services.jobs.wake()


def store_of(settings: Settings) -> Path:
    """Where its models are."""
    return settings.home / "models"


async def sent(
    database: Database,
    settings: Settings,
    total: int = 0,
    *,
    photos: Sequence[bytes] | None = None,
    items: Sequence[JobItem] | None = None,
    **fields: Any,
) -> Job:
    """A job that has been accepted, its images where they belong."""
    given = [grey(8 + 16 * (number % 16)) for number in range(total)] if photos is None else photos
    total = len(given) if items is None else len(items)
    job = a_job(total, **{"callback_url": CALLBACK, **fields})
    for number, photo in enumerate(given):
        path = settings.home / "blobs" / input_key(job.id, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo)
    await Jobs(database).add(job, items or photos_of(job), most_waiting=10_000)
    return job


async def when(
    database: Database, job: Job, happened: Callable[[Job], bool], *, within: float = 40
) -> Job:
    """The job, once something is true of it."""
    async with asyncio.timeout(within):
        while True:
            if happened(now := await Jobs(database).get(job.id)):
                return now
            await asyncio.sleep(0.01)


async def over(database: Database, job: Job) -> Job:
    """The job, once it is over."""
    return await when(database, job, lambda now: now.is_finished)


async def items_of(database: Database, job: Job) -> list[JobItem]:
    """All its images that are done."""
    return await Jobs(database).items(job.id, after=-1, limit=100_000)


async def callbacks_of(database: Database) -> list[str]:
    """The jobs that callbacks are due for, one for each."""
    async with database.reading() as connection:
        rows = await connection.execute(select(deliveries.c.job))
        return list(rows.scalars())


def inputs_of(settings: Settings, job: Job) -> list[Path]:
    """Its images that still lie among the blobs."""
    try:
        return sorted((settings.home / "blobs" / "jobs" / job.id).iterdir())
    except FileNotFoundError:  # Never written, or swept away together with the last of them.
        return []
