"""A job and its images come to be together, or not at all, also when the database loses its way."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from viewfinder.blobs.store import FolderBlobs
from viewfinder.errors import DatabaseError
from viewfinder.jobs.intake import taking_in
from viewfinder.jobs.order import Order
from viewfinder.settings import Settings
from viewfinder.storage.database import Database
from viewfinder.storage.jobs.places import input_key
from viewfinder.storage.jobs.rows import Job
from viewfinder.storage.jobs.table import Jobs

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ORDER = Order(None, "fake", 1, 5, 0.0, request_key="key")
LOST = DatabaseError("the connection is lost")


class LosingAnswers(Jobs):
    """Takes a job, and cannot say so."""

    async def add(self, *given: Any, **options: Any) -> Job:
        await super().add(*given, **options)
        raise LOST


class Away(LosingAnswers):
    """The same, and then says nothing more."""

    async def get(self, *_given: Any, **_options: Any) -> Job:
        raise LOST


class LosingQuestions(Jobs):
    """Never hears of a job."""

    async def add(self, *_given: Any, **_options: Any) -> Job:
        raise LOST


class Ending(Jobs):
    """Takes a job, while its process ends."""

    async def add(self, *given: Any, **options: Any) -> Job:
        await super().add(*given, **options)
        raise asyncio.CancelledError


async def send(jobs: Jobs, home: Path) -> tuple[Job, bool]:
    blobs = FolderBlobs(home)
    async with taking_in(blobs, Settings(home=home), hashed=True) as intake:
        for name in ("a", "b"):
            await intake.add_image(name, name.encode())
        return await intake.accept(jobs, ORDER, NOW)


def images(home: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in home.glob("jobs/*/*"))


async def test_a_job_is_its_images_and_a_second_one_is_the_first(
    database: Database, tmp_path: Path
) -> None:
    jobs = Jobs(database)
    job, is_new = await send(jobs, tmp_path)
    assert (is_new, job.total) == (True, 2)
    assert [FolderBlobs(tmp_path).get(input_key(job.id, place)) for place in (0, 1)] == [b"a", b"b"]
    assert await send(jobs, tmp_path) == (await jobs.get(job.id), False)
    assert images(tmp_path) == [b"a", b"b"]


async def test_an_answer_that_is_lost_is_asked_for_again(
    database: Database, tmp_path: Path
) -> None:
    job, is_new = await send(LosingAnswers(database), tmp_path)
    assert is_new
    assert await Jobs(database).get(job.id) == job
    assert images(tmp_path) == [b"a", b"b"]


async def test_where_nobody_can_say_the_images_stay(database: Database, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError):
        await send(Away(database), tmp_path)
    assert images(tmp_path) == [b"a", b"b"]


async def test_a_job_keeps_its_images_when_the_server_ends_as_it_is_taken(
    database: Database, tmp_path: Path
) -> None:
    with pytest.raises(asyncio.CancelledError):
        await send(Ending(database), tmp_path)
    job, is_new = await send(Jobs(database), tmp_path)  # the caller asks again
    assert not is_new
    assert [FolderBlobs(tmp_path).get(input_key(job.id, place)) for place in (0, 1)] == [b"a", b"b"]


async def test_a_job_that_nobody_has_heard_of_leaves_nothing(
    database: Database, tmp_path: Path
) -> None:
    with pytest.raises(DatabaseError):
        await send(LosingQuestions(database), tmp_path)
    assert images(tmp_path) == []
