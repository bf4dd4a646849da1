"""The table of callbacks, on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.jobs.receiver import put

from viewfinder.storage.database import Database
from viewfinder.storage.deliveries import Attempt, Deliveries, Delivery

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
URL = "https://example.com/hook"


async def _claimed(
    database: Database, now: datetime = NOW, by: str = "one", **options: Any
) -> list[Delivery]:
    given = {"lease_s": 30, "token": by, "limit": 100, **options}
    return await Deliveries(database).claim(now, **given)


async def test_what_is_due_is_claimed_the_longest_waiting_first(database: Database) -> None:
    late = await put(database, URL, NOW)
    early = await put(database, URL, NOW - SECOND, owner="key:1", body="{}")
    await put(database, URL, NOW + SECOND)
    for state in ("delivered", "refused", "expired"):
        await put(database, URL, NOW - SECOND, state=state)
    assert [one.id for one in await _claimed(database, limit=1)] == [early]
    (second,) = await _claimed(database)
    assert (second.id, second.state, second.attempts, second.due) == (late, "waiting", 0, NOW)


async def test_what_somebody_has_in_hand_is_taken_by_nobody_else_until_the_lease_is_over(
    database: Database,
) -> None:
    identifier = await put(database, URL, NOW)
    assert await _claimed(database)
    assert await _claimed(database, NOW + 29 * SECOND) == []
    (again,) = await _claimed(database, NOW + 30 * SECOND)
    assert again.id == identifier


async def test_many_who_claim_at_once_never_get_the_same(database: Database) -> None:
    put_there = {await put(database, URL, NOW) for _ in range(20)}
    claims = (_claimed(database, by=f"token-{n}", limit=2) for n in range(14))
    got = [one.id for claim in await asyncio.gather(*claims) for one in claim]
    got += [one.id for one in await _claimed(database, by="rest")]
    assert len(got) == 20
    assert set(got) == put_there


async def test_hosts_that_are_busy_are_passed_over(database: Database) -> None:
    await put(database, "https://slow.example.com/1?%_", NOW - SECOND)
    quick = await put(database, "https://quick.example.com/", NOW)
    busy = ["https://slow.example.com", "https://other"]
    assert [one.id for one in await _claimed(database, busy=busy)] == [quick]
    assert len(await _claimed(database, busy=[])) == 1


async def test_an_attempt_is_kept_with_what_comes_of_it(database: Database) -> None:
    deliveries = Deliveries(database)
    await put(database, URL, NOW)
    (first,) = await _claimed(database)
    failed = Attempt(NOW, 0.25, None, "The host did not answer within 15 s.")
    later = NOW + 5 * SECOND
    assert await deliveries.record(first, "one", failed, "waiting", next_due=later, now=NOW)
    assert await _claimed(database, later - SECOND) == []  # and no lease is left to wait for
    (second,) = await _claimed(database, later, by="two")
    assert second.attempts == 1
    taken = Attempt(later, 0.5, 204)
    assert await deliveries.record(second, "two", taken, "delivered", next_due=None, now=later)
    ((found, attempts),) = await deliveries.of_job(first.job)
    assert attempts == (failed, taken)
    assert (found.state, found.due, found.finished, found.attempts) == (
        "delivered",
        None,
        later,
        2,
    )
    assert await _claimed(database, later + timedelta(days=9)) == []


async def test_who_has_lost_the_lease_records_nothing(database: Database) -> None:
    deliveries = Deliveries(database)
    await put(database, URL, NOW)
    (first,) = await _claimed(database)
    (second,) = await _claimed(database, NOW + 31 * SECOND, by="two")
    attempt = Attempt(NOW, 0.5, 204)
    assert not await deliveries.record(first, "one", attempt, "delivered", next_due=None, now=NOW)
    ((found, attempts),) = await deliveries.of_job(first.job)
    assert (found.state, attempts) == ("waiting", ())
    assert await deliveries.record(second, "two", attempt, "refused", next_due=None, now=NOW)
    assert not await deliveries.record(second, "two", attempt, "waiting", next_due=NOW, now=NOW)
    ((found, attempts),) = await deliveries.of_job(first.job)
    assert (found.state, attempts) == ("refused", (attempt,))


@pytest.mark.parametrize("by", ["job", "id"])
async def test_a_callback_is_sent_again_from_the_start_of_its_schedule(
    database: Database, by: str
) -> None:
    deliveries = Deliveries(database)
    await put(database, URL, NOW)
    other = await put(database, URL, NOW + 90 * SECOND)
    (first,) = await _claimed(database)
    attempt = Attempt(NOW, 1.0, 500)
    await deliveries.record(first, "one", attempt, "expired", next_due=None, now=NOW)
    later = NOW + 60 * SECOND
    assert await deliveries.redeliver(getattr(first, by), later) == [first.id]
    (again,) = await _claimed(database, later, by="two")
    assert (again.id, again.body, again.attempts) == (first.id, first.body, 0)
    assert again.finished is None
    await deliveries.record(again, "two", attempt, "waiting", next_due=later, now=later)
    ((_, attempts),) = await deliveries.of_job(first.job)
    assert attempts == (attempt, attempt)
    assert other not in {first.id, again.id}


async def test_what_is_not_there_is_not_sent_again(database: Database) -> None:
    assert await Deliveries(database).redeliver("nothing", NOW) == []
    assert await Deliveries(database).of_job("nothing") == []
