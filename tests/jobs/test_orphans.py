"""Images without a job go in time, from a folder and from S3; those of a job stay."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.registry.conftest import bucket, s3

from viewfinder.blobs.store import Blobs, open_blobs
from viewfinder.errors import DatabaseError
from viewfinder.jobs.orphans import sweep
from viewfinder.settings import BlobSettings, DatabaseSettings, JobSettings, Settings
from viewfinder.storage.database import Database
from viewfinder.storage.jobs.places import input_key
from viewfinder.storage.jobs.rows import Job, JobItem
from viewfinder.storage.jobs.table import Jobs
from viewfinder.storage.link import DatabaseLink

__all__ = ["bucket", "s3"]

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    """A place of either kind."""
    if request.param == "folder":
        return open_blobs(Settings(home=tmp_path))
    address = f"s3://{request.getfixturevalue('bucket')}/some"
    return open_blobs(Settings(home=tmp_path, blobs=BlobSettings(url=address)))


def job_of(age: timedelta) -> str:
    """The id of a job that began so long before now."""
    digits = f"{round((NOW - age).timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}-7{uuid.uuid4().hex[:3]}-8000-{uuid.uuid4().hex[:12]}"


def put(blobs: Blobs, job: str, images: int = 2) -> None:
    for position in range(images):
        blobs.put(input_key(job, position), b"image")


def test_a_place_says_which_folders_it_has_and_clears_them(blobs: Blobs) -> None:
    assert list(blobs.folders("jobs")) == []
    blobs.clear("jobs/nothing")
    put(blobs, "one")
    put(blobs, "one-more")
    blobs.put("results/ab/x.jpg", b"image")
    assert sorted(blobs.folders("jobs")) == ["one", "one-more"]
    blobs.clear("jobs/one")
    assert list(blobs.folders("jobs")) == ["one-more"]
    assert blobs.get("results/ab/x.jpg") == b"image"
    with pytest.raises(FileNotFoundError):
        blobs.get(input_key("one", 0))


async def test_images_without_a_job_go_once_no_upload_takes_so_long(
    blobs: Blobs, settings: Settings, database: Database
) -> None:
    old, known, young = job_of(3 * DAY), job_of(3 * DAY), job_of(DAY)
    for job in (old, known, young, "no-id"):
        put(blobs, job)
    row = Job(known, NOW - 3 * DAY, "fake", 1, 5, 0.0, 2)
    await Jobs(database).add(row, [JobItem(0, "a"), JobItem(1, "b")], most_waiting=9)
    link = DatabaseLink(settings)
    try:
        assert await sweep(settings, blobs, link, NOW) == 1
        assert set(blobs.folders("jobs")) == {known, young, "no-id"}
        assert await sweep(settings, blobs, link, NOW) == 0
    finally:
        await link.close()


async def test_a_larger_upload_may_take_longer(blobs: Blobs, tmp_path: Path) -> None:
    put(blobs, job_of(3 * DAY))
    larger = Settings(home=tmp_path, jobs=JobSettings(upload_bytes=20 * 2**30))
    assert await sweep(larger, blobs, DatabaseLink(larger), NOW) == 0


async def test_while_the_database_cannot_be_used_nothing_goes(blobs: Blobs, tmp_path: Path) -> None:
    away = Settings(home=tmp_path)
    (tmp_path / "viewfinder.db").write_bytes(b"this is no database" * 100)
    put(blobs, old := job_of(3 * DAY))
    with pytest.raises(DatabaseError):
        await sweep(away, blobs, DatabaseLink(away), NOW)
    assert list(blobs.folders("jobs")) == [old]


async def test_where_nothing_is_old_the_database_is_not_even_opened(
    blobs: Blobs, tmp_path: Path
) -> None:
    away = Settings(
        home=tmp_path, database=DatabaseSettings(url="postgresql://nobody@127.0.0.1:1/nothing")
    )
    put(blobs, job_of(DAY))
    assert await sweep(away, blobs, DatabaseLink(away), NOW) == 0
