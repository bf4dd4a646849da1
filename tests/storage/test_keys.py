"""The table of keys, on both databases."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import select

from viewfinder.errors import ConflictError
from viewfinder.storage.database import Database
from viewfinder.storage.keys import ApiKey, ApiKeys
from viewfinder.storage.tables import api_keys

NOW = datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _key(number: int = 1, **fields: Any) -> ApiKey:
    key = ApiKey(
        id=f"{number:012x}",
        name=f"robot-{number}",
        digest=f"{number:064x}",
        scopes=frozenset({"classify", "read"}),
        requests=None,
        created=NOW + timedelta(seconds=number),
    )
    return replace(key, **fields)


async def test_a_key_comes_back_as_it_was_put(database: Database) -> None:
    keys = ApiKeys(database)
    elsewhere = datetime(2027, 1, 1, 1, tzinfo=timezone(timedelta(hours=5)))
    put = [_key(1), _key(2, requests=7, expires=elsewhere, scopes=frozenset({"manage"}))]
    for key in reversed(put):
        await keys.add(key)
    assert await keys.all() == tuple(put)


async def test_two_keys_in_use_never_share_a_name(database: Database) -> None:
    keys = ApiKeys(database)
    await keys.add(_key(1, name="robot"))
    with pytest.raises(ConflictError, match="a key robot already"):
        await keys.add(_key(2, name="robot"))
    assert await keys.revoke("robot", NOW) is not None
    await keys.add(_key(2, name="robot"))
    assert [key.id for key in await keys.valid(NOW)] == [_key(2).id]


async def test_only_keys_that_count_are_valid(database: Database) -> None:
    keys = ApiKeys(database)
    for key in (_key(1), _key(2, expires=NOW), _key(3, expires=NOW + HOUR), _key(4, revoked=NOW)):
        await keys.add(key)
    assert {key.name for key in await keys.valid(NOW)} == {"robot-1", "robot-3"}


async def test_the_state_is_another_after_each_change_and_not_after_a_use(
    database: Database,
) -> None:
    keys = ApiKeys(database)
    seen = [await keys.state()]
    for change in (
        keys.add(_key(1)),
        keys.add(_key(2)),
        keys.revoke("robot-1", NOW),
        keys.revoke("robot-2", NOW),
    ):
        await change
        seen.append(await keys.state())
    assert len(set(seen)) == 5
    await keys.record_use({_key(1).id: NOW})
    assert await keys.state() == seen[-1]


@pytest.mark.parametrize("which", [_key().id, _key().name])
async def test_a_key_is_revoked_by_id_or_name_and_only_once(database: Database, which: str) -> None:
    keys = ApiKeys(database)
    await keys.add(_key())
    await keys.add(_key(2))
    assert await keys.revoke(which, NOW) == _key(revoked=NOW)
    assert await keys.revoke(which, NOW + HOUR) is None
    assert [key.revoked for key in await keys.all()] == [NOW, None]


async def test_the_latest_use_stays_whoever_tells_it_last(database: Database) -> None:
    keys = ApiKeys(database)
    await keys.add(_key(1))
    await keys.add(_key(2))
    await keys.record_use({})
    await keys.record_use({_key(1).id: NOW + HOUR, _key(2).id: NOW, "unknown": NOW})
    await keys.record_use({_key(1).id: NOW, _key(2).id: NOW + HOUR})
    assert [key.last_used for key in await keys.all()] == [NOW + HOUR, NOW + HOUR]


async def test_many_at_once_lose_nothing(database: Database) -> None:
    keys = ApiKeys(database)
    await asyncio.gather(*(keys.add(_key(number)) for number in range(1, 41)))
    used = {_key(number).id: NOW for number in range(1, 41)}
    await asyncio.gather(*(keys.record_use(used) for _ in range(5)), keys.revoke("robot-1", NOW))
    found = await keys.all()
    assert len(found) == 40
    assert {key.last_used for key in found} == {NOW}


async def test_who_reads_and_then_writes_is_not_refused_for_what_another_wrote(
    database: Database,
) -> None:
    keys = ApiKeys(database)
    async with database.writing() as connection:
        await connection.execute(select(api_keys))
        other = asyncio.create_task(keys.add(_key(2)))
        await asyncio.wait({other}, timeout=0.3)  # on SQLite it waits until this one has ended
        await connection.execute(
            api_keys.insert().values(id="1", name="1", digest="1", scopes="", created=NOW)
        )
    await other
    assert len(await keys.all()) == 2
