"""Jobs that are over."""

from sqlalchemy import update
from tests.jobs.making import a_job, added, after, count_in

from viewfinder.storage.database import Database
from viewfinder.storage.jobs.finished import FinishedJobs
from viewfinder.storage.jobs.places import input_key
from viewfinder.storage.jobs.queue import JobQueue
from viewfinder.storage.jobs.rows import JobItem
from viewfinder.storage.jobs.table import Jobs
from viewfinder.storage.tables import deliveries, job_items, jobs


async def test_what_is_left_of_finished_jobs_is_found(database: Database) -> None:
    finished = FinishedJobs(database)
    urls = [JobItem(0, "a", url="https://example.org/a"), JobItem(1, "b")]
    job = await added(database, a_job(2), urls)
    only_urls = await added(database, a_job(1), urls[:1])
    assert await finished.leftovers(limit=9) == []
    for one in (job, only_urls):
        await Jobs(database).cancel(one.id, after(1))
    assert await finished.leftovers(limit=9) == [job.id]
    assert await finished.inputs(job.id) == [input_key(job.id, 1)]
    await finished.forget_inputs(job.id)
    assert await finished.leftovers(limit=9) == []


async def _taken(database: Database) -> None:
    """All callbacks have arrived."""
    async with database.writing() as connection:
        await connection.execute(update(deliveries).values(state="delivered", due=None))


async def test_a_job_stays_until_its_callback_has_come_to_its_end(database: Database) -> None:
    queue, finished = JobQueue(database), FinishedJobs(database)
    by_url = [JobItem(0, "a", url="https://example.org/a")]
    await added(database, a_job(1, callback_url="https://example.org/"), by_url)
    claim = await queue.claim(after(0), 60, "me")
    assert claim is not None
    assert await queue.finish(claim, "succeeded", None, after(1)) is not None
    assert await finished.delete_older(after(100), limit=5) == 0
    assert await count_in(database, deliveries) == 1
    await _taken(database)
    assert await finished.delete_older(after(100), limit=5) == 1
    assert await count_in(database, deliveries) == 0


async def test_old_jobs_go_with_all_that_is_theirs(database: Database) -> None:
    queue, finished = JobQueue(database), FinishedJobs(database)
    by_url = [JobItem(0, "a", url="https://example.org/a")]
    for number in range(3):
        await added(database, a_job(1, callback_url="https://example.org/"), by_url)
        claim = await queue.claim(after(number), 60, "me")
        assert claim is not None
        assert await queue.finish(claim, "succeeded", None, after(number)) is not None
    await _taken(database)
    left = await added(database, a_job(1))
    with_images = await added(database, a_job(1))
    await Jobs(database).cancel(with_images.id, after(0))
    assert await finished.delete_older(after(2), limit=1) == 1
    assert await finished.delete_older(after(2), limit=5) == 1
    assert await finished.delete_older(after(2), limit=5) == 0
    kept = await Jobs(database).page(state=None, before=None, limit=9)
    assert {left.id, with_images.id} < {job.id for job in kept}
    assert [await count_in(database, table) for table in (jobs, job_items, deliveries)] == [3, 3, 1]
