"""Jobs for tests."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils
from sqlalchemy import Table, func, select

from viewfinder.storage.database import Database
from viewfinder.storage.jobs.rows import Job, JobItem
from viewfinder.storage.jobs.table import Jobs

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


def after(seconds: float) -> datetime:
    """So long after `NOW`."""
    return NOW + timedelta(seconds=seconds)


def a_job(total: int = 3, **fields: Any) -> Job:
    """A job that nobody has worked on."""
    job = Job(
        id=str(uuid_utils.uuid7()),
        created=NOW,
        model="fake",
        version=1,
        top_k=2,
        min_confidence=0.0,
        total=total,
    )
    return replace(job, **fields)


def photos_of(job: Job) -> list[JobItem]:
    """Its images, sent with it."""
    return [JobItem(number, f"{number}.png") for number in range(job.total)]


async def added(database: Database, job: Job, items: Sequence[JobItem] | None = None) -> Job:
    """The job, accepted."""
    given = photos_of(job) if items is None else items
    return await Jobs(database).add(job, given, most_waiting=10_000)


def answered(*positions: int) -> list[JobItem]:
    """Images that have been answered."""
    return [
        JobItem(number, f"{number}.png", result=str(uuid_utils.uuid7()), answer={"class": "cat"})
        for number in positions
    ]


def broken(position: int) -> JobItem:
    """An image with which something is wrong."""
    error = {"code": "invalid_image", "detail": "It is none."}
    return JobItem(position, f"{position}.png", error=error)


async def count_in(database: Database, table: Table) -> int:
    """How many rows a table has."""
    async with database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()
