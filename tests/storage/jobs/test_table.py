"""Jobs as those see them who send them, on both databases."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, event, select
from tests.jobs.making import a_job, added, after, answered, broken, photos_of

from viewfinder.errors import (
    ConflictError,
    DatabaseError,
    IdempotencyKeyReusedError,
    JobNotFoundError,
    OverloadedError,
)
from viewfinder.storage.database import Database
from viewfinder.storage.jobs.queue import JobQueue
from viewfinder.storage.jobs.rows import Job, JobItem
from viewfinder.storage.jobs.table import Jobs
from viewfinder.storage.tables import job_items


async def test_a_job_comes_back_as_it_was_put(database: Database) -> None:
    jobs = Jobs(database)
    job = a_job(owner="key:1", callback_url="https://example.org/done", min_confidence=0.25)
    assert await added(database, job) == job
    assert await jobs.get(job.id) == job
    assert (job.waiting, job.is_finished) == (3, False)
    with pytest.raises(JobNotFoundError):
        await jobs.get("another")


async def test_the_same_request_makes_one_job(database: Database) -> None:
    jobs = Jobs(database)
    first = await added(database, a_job(request_key="a", request_digest="1"))
    again = a_job(request_key="a", request_digest="1")
    assert await jobs.add(again, photos_of(again), most_waiting=1) == first
    with pytest.raises(IdempotencyKeyReusedError):
        await added(database, a_job(request_key="a", request_digest="2"))
    assert await jobs.page(state=None, before=None, limit=10) == [first]


async def test_of_many_same_requests_at_once_one_makes_the_job(database: Database) -> None:
    requests = [a_job(20, request_key="a", request_digest="1") for _ in range(8)]
    made = await asyncio.gather(*(added(database, job) for job in requests))
    assert len({job.id for job in made}) == 1
    async with database.reading() as connection:
        rows = (await connection.execute(select(job_items.c.job))).scalars().all()
    assert set(rows) == {made[0].id}
    assert len(rows) == 20


async def test_no_more_jobs_are_open_than_may_be(database: Database) -> None:
    jobs = Jobs(database)
    first, second = a_job(), a_job()
    await jobs.add(first, photos_of(first), most_waiting=1)
    with pytest.raises(OverloadedError) as refused:
        await jobs.add(second, photos_of(second), most_waiting=1)
    assert refused.value.retry_after_s > 0
    with pytest.raises(JobNotFoundError):
        await jobs.get(second.id)
    await jobs.cancel(first.id, after(1))
    await jobs.add(second, photos_of(second), most_waiting=1)


async def test_a_job_whose_images_cannot_be_kept_is_not_there(database: Database) -> None:
    job = a_job(2)
    with pytest.raises(DatabaseError):
        await added(database, job, [JobItem(0, "a"), JobItem(0, "again")])
    with pytest.raises(JobNotFoundError):
        await Jobs(database).get(job.id)


async def test_a_large_job_is_written_in_pieces_between_which_others_have_their_turn(
    database: Database,
) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    writes: list[int] = []

    def note(*given: Any) -> None:
        if given[-1]:  # many rows at once
            writes.append(len(given[3]))

    event.listen(Engine, "before_cursor_execute", note)
    beside = asyncio.create_task(others())
    try:
        job = await added(database, a_job(1010))
    finally:
        beside.cancel()
        event.remove(Engine, "before_cursor_execute", note)
    assert sum(writes) == job.total
    assert max(writes) <= 250
    assert turns >= len(writes)


async def test_pages_go_from_the_newest_to_the_oldest(database: Database) -> None:
    jobs = Jobs(database)
    made = [await added(database, a_job()) for _ in range(5)]
    cancelled = await jobs.cancel(made[2].id, after(1))
    made[2] = cancelled
    newest = await jobs.page(state=None, before=None, limit=2)
    assert newest == [made[4], made[3]]
    assert await jobs.page(state=None, before=newest[-1].id, limit=9) == made[2::-1]
    assert await jobs.page(state="cancelled", before=None, limit=9) == [cancelled]
    assert await jobs.page(state="queued", before=made[3].id, limit=1) == [made[1]]


async def test_images_are_shown_once_they_are_done_in_their_order(database: Database) -> None:
    jobs, queue = Jobs(database), JobQueue(database)
    job = await added(database, a_job(5))
    assert await jobs.items(job.id, after=-1, limit=9) == []
    claim = await queue.claim(after(0), 60, "me")
    assert claim is not None
    done = [*answered(0, 1), broken(2)]
    assert await queue.record(claim, done, after(1), 60)
    assert await jobs.items(job.id, after=-1, limit=9) == done
    assert await jobs.items(job.id, after=0, limit=1) == [done[1]]
    now = await jobs.get(job.id)
    assert (now.succeeded, now.failed, now.waiting, now.done) == (2, 1, 2, 3)
    assert await jobs.items("another", after=-1, limit=9) == []


async def test_a_cancelled_job_is_over_and_keeps_its_answers(database: Database) -> None:
    jobs, queue = Jobs(database), JobQueue(database)
    job = await added(database, a_job())
    claim = await queue.claim(after(0), 60, "me")
    assert claim is not None
    assert await queue.record(claim, answered(0), after(1), 60)
    cancelled = await jobs.cancel(job.id, after(2))
    assert (cancelled.state, cancelled.finished, cancelled.succeeded) == ("cancelled", after(2), 1)
    assert cancelled.is_finished
    assert not await queue.is_held(claim)
    assert not await queue.record(claim, answered(1), after(3), 60)
    assert not await queue.renew(claim, after(3), 60)
    assert await queue.finish(claim, "succeeded", None, after(3)) is None
    assert await jobs.get(job.id) == cancelled
    assert len(await jobs.items(job.id, after=-1, limit=9)) == 1
    for unknown, error in ((job.id, ConflictError), ("another", JobNotFoundError)):
        with pytest.raises(error):
            await jobs.cancel(unknown, after(4))


async def test_a_finished_job_cannot_be_cancelled(database: Database) -> None:
    queue = JobQueue(database)
    job = await added(database, a_job(0))
    claim = await queue.claim(after(0), 60, "me")
    assert claim is not None
    finished = await queue.finish(claim, "succeeded", None, after(1))
    expected = replace(job, state="succeeded", started=after(0), finished=after(1))
    assert finished == expected
    with pytest.raises(ConflictError, match="succeeded"):
        await Jobs(database).cancel(job.id, after(2))


def test_a_job_knows_what_it_waits_for() -> None:
    job: Job = replace(a_job(10), succeeded=6, failed=1)
    assert (job.done, job.waiting) == (7, 3)
