"""The table of jobs as a queue, on both databases."""

import asyncio
import json
from datetime import UTC
from typing import Any, Literal

from sqlalchemy import Table, select
from tests.jobs.making import a_job, added, after, answered, broken, count_in

from viewfinder.settings import Settings
from viewfinder.storage.database import Database
from viewfinder.storage.jobs.queue import JobQueue
from viewfinder.storage.jobs.table import Jobs
from viewfinder.storage.schema import open_database
from viewfinder.storage.tables import JOB_LEFTOVER, JOB_OPEN, deliveries, jobs


async def _rows(database: Database, table: Table) -> list[dict[str, Any]]:
    async with database.reading() as connection:
        return [dict(row) for row in (await connection.execute(select(table))).mappings()]


async def test_claims_of_many_at_once_never_give_a_job_twice(
    database: Database, settings: Settings
) -> None:
    made = {(await added(database, a_job(1))).id for _ in range(12)}
    others = [await open_database(settings) for _ in range(3)]
    queues = [JobQueue(one) for one in (database, *others)]

    async def take(number: int) -> list[str]:
        taken: list[str] = []
        while claim := await queues[number].claim(after(0), 60, f"{number}-{len(taken)}"):
            taken.append(claim.job.id)
        return taken

    taken = await asyncio.gather(*(take(number) for number in range(4)))
    assert sorted(job for part in taken for job in part) == sorted(made)
    for other in others:
        await other.close()


async def test_a_claim_begins_the_job(database: Database) -> None:
    job = await added(database, a_job())
    claim = await JobQueue(database).claim(after(1), 60, "me")
    assert claim is not None
    assert (claim.job.id, claim.token, claim.fruitless) == (job.id, "me", 1)
    assert (claim.job.state, claim.job.started) == ("running", after(1))


async def test_a_lapsed_lease_is_anothers_and_the_first_writes_nothing_more(
    database: Database,
) -> None:
    queue = JobQueue(database)
    job = await added(database, a_job())
    first = await queue.claim(after(0), 60, "first")
    assert first is not None
    assert await queue.record(first, answered(0), after(10), 60)
    assert await queue.claim(after(69), 60, "early") is None
    second = await queue.claim(after(71), 60, "second")
    assert second is not None
    assert (second.job.done, second.job.started, second.fruitless) == (1, after(0), 1)
    assert not await queue.is_held(first)
    assert not await queue.record(first, answered(1, 2), after(72), 60)
    assert not await queue.renew(first, after(72), 60)
    await queue.release(first, after(72))
    assert await queue.finish(first, "failed", None, after(72)) is None
    assert await queue.is_held(second)
    assert await queue.record(second, [broken(1)], after(73), 60)
    now = await Jobs(database).get(job.id)
    assert (now.state, now.succeeded, now.failed) == ("running", 1, 1)


async def test_what_is_recorded_twice_counts_once(database: Database) -> None:
    queue = JobQueue(database)
    job = await added(database, a_job(5))
    claim = await queue.claim(after(0), 60, "me")
    assert claim is not None
    first, second = [*answered(0, 1), broken(2)], answered(3)
    for number in (10, 50):  # who has not heard the first answer asks again
        assert await queue.record(claim, first, after(number), 60)
    now = await Jobs(database).get(job.id)
    assert (now.succeeded, now.failed, now.waiting) == (2, 1, 2)
    assert await queue.claim(after(100), 60, "other") is None  # the lease is renewed all the same
    assert await queue.record(claim, second, after(101), 60)
    assert not await queue.record(claim, first, after(102), 60)
    items = await Jobs(database).items(job.id, after=-1, limit=9)
    assert [item.result for item in items] == [
        *(item.result for item in first),
        *(item.result for item in second),
    ]


async def test_a_lease_is_renewed(database: Database) -> None:
    queue = JobQueue(database)
    await added(database, a_job())
    claim = await queue.claim(after(0), 60, "me")
    assert claim is not None
    assert await queue.renew(claim, after(50), 60)
    assert await queue.claim(after(100), 60, "other") is None
    assert not await queue.look(after(100))
    assert await queue.look(after(111))


async def test_jobs_take_turns(database: Database) -> None:
    queue = JobQueue(database)
    large = await added(database, a_job(1000))
    served = []
    for number in range(4):
        if number == 1:
            small = await added(database, a_job(1, created=after(15)))
        claim = await queue.claim(after(10 * number), 60, f"{number}")
        assert claim is not None
        served.append(claim.job.id)
        await queue.release(claim, after(10 * number + 10))
    # The small one came in the first turn of the large one, and has the next but one.
    assert served == [large.id, large.id, small.id, large.id]


async def test_claims_without_any_record_are_counted(database: Database) -> None:
    queue = JobQueue(database)
    await added(database, a_job())
    counted = []
    for number in range(3):
        claim = await queue.claim(after(100 * number), 60, f"{number}")
        assert claim is not None
        counted.append(claim.fruitless)
    assert counted == [1, 2, 3]
    assert claim is not None
    assert await queue.record(claim, [broken(0)], after(201), 60, fruitful=False)
    await queue.release(claim, after(202))  # who gives it back has not died of it
    claim = await queue.claim(after(300), 60, "again")
    assert claim is not None
    assert claim.fruitless == 3
    assert await queue.record(claim, answered(1), after(301), 60)
    claim = await queue.claim(after(400), 60, "well")
    assert claim is not None
    assert claim.fruitless == 1


async def test_the_end_of_a_job_and_its_callback_are_one(database: Database) -> None:
    queue = JobQueue(database)
    url = "https://example.org/done"
    ends: tuple[tuple[Literal["succeeded", "failed"], dict[str, str] | None], ...] = (
        ("succeeded", None),
        ("failed", {"code": "c", "detail": "d"}),
    )
    for state, error in ends:
        job = await added(database, a_job(1, callback_url=url, owner="key:1"))
        claim = await queue.claim(after(0), 60, "me")
        assert claim is not None
        assert await queue.record(claim, answered(0), after(1), 60)
        finished = await queue.finish(claim, state, error, after(2))
        assert finished is not None
        assert await queue.finish(claim, "failed", None, after(3)) is None
        (row,) = [one for one in await _rows(database, deliveries) if one["job"] == job.id]
        assert row["id"].startswith("msg_")
        assert {name: row[name] for name in ("owner", "type", "url", "state", "attempts")} == {
            "owner": "key:1",
            "type": f"job.{state}",
            "url": url,
            "state": "waiting",
            "attempts": 0,
        }
        assert row["due"].astimezone(UTC) == after(2)
        assert json.loads(row["body"]) == {
            "type": f"job.{state}",
            "timestamp": "2026-05-01T12:00:02.123456Z",
            "data": {
                "id": job.id,
                "state": state,
                "model": {"name": "fake", "version": 1},
                "counts": {"total": 1, "succeeded": 1, "failed": 0, "waiting": 0},
                "created": "2026-05-01T12:00:00.123456Z",
                "started": "2026-05-01T12:00:00.123456Z",
                "finished": "2026-05-01T12:00:02.123456Z",
                "error": error,
            },
        }
    await added(database, a_job(0))
    claim = await queue.claim(after(9), 60, "nobody is called")
    assert claim is not None
    assert await queue.finish(claim, "succeeded", None, after(9)) is not None
    assert await count_in(database, deliveries) == 2


async def test_an_idle_look_reads_open_jobs_and_leftovers_alone(
    database: Database, settings: Settings
) -> None:
    if settings.database.url is not None:
        return  # PostgreSQL reads small tables whole
    async with database.reading() as connection:
        for query, index in (
            (select(jobs.c.id).where(JOB_OPEN).order_by(jobs.c.turn), "jobs_open"),
            (select(jobs.c.id).where(JOB_LEFTOVER), "jobs_leftover"),
        ):
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}")
            assert index in str(plan.all())
