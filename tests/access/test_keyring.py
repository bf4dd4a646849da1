"""The snapshot: what counts, from when on, and what happens when the database goes away."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.postgres import running_postgres
from tests.support import soon

from viewfinder.access.bootstrap import BootstrapKey
from viewfinder.access.keyring import Keyring
from viewfinder.access.keys import SCOPES, make_key
from viewfinder.errors import SettingsError
from viewfinder.settings import DatabaseSettings, Settings
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.schema import open_database, upgrade

NOW = datetime(2026, 5, 1, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(tmp_path: Path) -> AsyncIterator[ApiKeys]:
    database = await open_database(Settings(home=tmp_path))
    yield ApiKeys(database)
    await database.close()


async def _add(keys: ApiKeys, name: str = "robot", expires: datetime | None = None) -> str:
    key, token = make_key(name, now=NOW, scopes=["read"], expires=expires, requests=7)
    await keys.add(key)
    return token


async def test_a_key_that_is_made_counts_and_one_that_is_revoked_does_not(
    keys: ApiKeys, clock: Clock
) -> None:
    first = await _add(keys)
    ring = Keyring(keys, refresh_s=0.01, clock=clock)
    await ring.start()
    principal = ring.find(first)
    assert principal is not None
    assert (principal.scopes, principal.requests) == (frozenset({"read"}), 7)
    assert principal.id == f"key:{first[3:15]}"

    second = await _add(keys, "other")
    await soon(lambda: ring.find(second))
    await keys.revoke("robot", NOW)
    await soon(lambda: ring.find(first) is None)
    assert ring.find(second)
    await ring.close()


async def test_the_right_id_with_another_secret_does_not_count(keys: ApiKeys, clock: Clock) -> None:
    one, other = await _add(keys, "one"), await _add(keys, "other")
    ring = Keyring(keys, refresh_s=60, clock=clock)
    await ring.load()
    assert ring.find(one[:16] + other[16:]) is None
    assert ring.find(one[:-1] + ("0" if one[-1] != "0" else "1")) is None


async def test_a_key_expires_to_the_second_without_a_new_snapshot(
    keys: ApiKeys, clock: Clock
) -> None:
    token = await _add(keys, expires=NOW + timedelta(seconds=10))
    ring = Keyring(keys, refresh_s=60, clock=clock)
    await ring.load()
    clock.now += 9
    assert ring.find(token)
    clock.now += 1
    assert ring.find(token) is None


async def test_use_is_written_at_the_end_and_every_half_minute(keys: ApiKeys, clock: Clock) -> None:
    token = await _add(keys)
    await _add(keys, "unused")
    ring = Keyring(keys, refresh_s=0.01, clock=clock)
    await ring.start()

    async def last_used() -> list[datetime | None]:
        return [key.last_used for key in sorted(await keys.all(), key=lambda key: key.name)]

    assert ring.find(token)
    clock.now += 31
    async with asyncio.timeout(30):
        while await last_used() != [NOW, None]:
            pass
    assert ring.find(token)
    await ring.close()
    assert await last_used() == [NOW + timedelta(seconds=31), None]


async def test_a_postgresql_that_goes_away_leaves_the_keys_and_comes_back(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with running_postgres() as server:
        url = DatabaseSettings(url=server.new_database())
        settings = Settings(home=tmp_path, database=url)
        await asyncio.to_thread(upgrade, settings)
        database = await open_database(settings)
        keys = ApiKeys(database)
        token = await _add(keys)
        ring = Keyring(keys, refresh_s=0.01, clock=clock)
        await ring.start()
        assert ring.find(token)

        await asyncio.to_thread(server.stop)
        await soon(lambda: "go on to count" in caplog.text)
        assert ring.find(token)
        assert caplog.text.count("go on to count") == 1

        await asyncio.to_thread(server.start)
        await soon(lambda: "can be looked at again" in caplog.text)
        await keys.revoke("robot", NOW)
        await soon(lambda: ring.find(token) is None)
        await ring.close()
        assert (await keys.all())[0].last_used == NOW
        await database.close()


async def test_what_was_used_while_the_database_was_away_is_written_later(
    keys: ApiKeys, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.storage.database._CONNECT_S", 0.05)
    database = await open_database(Settings(home=tmp_path))
    ring = Keyring(ApiKeys(database), refresh_s=0.01, clock=clock)
    token = await _add(keys)
    await ring.start()
    assert ring.find(token)
    holder = sqlite3.connect(tmp_path / "viewfinder.db")
    holder.execute("BEGIN IMMEDIATE")
    clock.now += 31
    await soon(lambda: ring.is_away)
    holder.rollback()
    holder.close()
    await soon(lambda: not ring.is_away)
    assert (await keys.all())[0].last_used == NOW
    await ring.close()
    await database.close()


SECRET = "a secret of thirty-two characters".replace(" ", "-")


async def test_the_key_in_the_file_does_everything_and_follows_the_file(
    keys: ApiKeys, clock: Clock, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "key"
    path.write_text(SECRET + "\n")
    ring = Keyring(keys, bootstrap=BootstrapKey(path), refresh_s=0.01, clock=clock)
    await ring.start()
    principal = ring.find(SECRET)
    assert principal is not None
    assert (principal.id, principal.scopes) == ("bootstrap", frozenset(SCOPES))

    _, token = make_key("x", now=NOW, scopes=[])
    path.write_text(token)
    await soon(lambda: ring.find(token))
    assert ring.find(SECRET) is None
    assert await keys.all() == ()

    path.write_text("")  # in the middle of being written
    await soon(lambda: "holds no key" in caplog.text)
    assert ring.find(token)
    assert ring.find("") is None
    path.unlink()
    await soon(lambda: ring.find(token) is None)
    path.write_text(SECRET)
    await soon(lambda: ring.find(SECRET))
    await ring.close()


@pytest.mark.parametrize(
    "content", [b"", b"short", b"x" * 31, b"x" * 5000, b"\xff" * 40, b"two words " * 8, None]
)
def test_a_file_without_a_key_is_told_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match="bootstrap_key_file") as told:
        BootstrapKey(path).read()
    assert "\n" not in told.value.detail


async def test_a_file_that_is_replaced_is_read_and_one_that_is_gone_changes_nothing(
    keys: ApiKeys, clock: Clock, tmp_path: Path
) -> None:
    old = await _add(keys)
    ring = Keyring(keys, refresh_s=0.01, clock=clock)
    await ring.start()
    for end in ("", "-wal", "-shm"):
        (tmp_path / f"viewfinder.db{end}").unlink(missing_ok=True)
    await soon(lambda: ring.is_away)
    assert ring.find(old) is not None
    assert not (tmp_path / "viewfinder.db").exists()  # nobody has made an empty one
    made = tmp_path / "elsewhere"  # as many keys of the same moment: it looks the same
    other = await open_database(Settings(home=made))
    new = await _add(ApiKeys(other))
    await other.close()
    (made / "viewfinder.db").rename(tmp_path / "viewfinder.db")
    await soon(lambda: ring.find(new) is not None)
    assert ring.find(old) is None
    await ring.close()
