"""Databases come up to date: SQLite by itself, PostgreSQL when it is told."""

import asyncio
import importlib.util
import sqlite3
import stat
import subprocess
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, inspect, text
from tests.support import needs, run_command

from viewfinder.errors import DatabaseError, SettingsError
from viewfinder.settings import DatabaseSettings, Settings
from viewfinder.storage.database import Database, database_url
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.schema import REVISION, open_database, upgrade
from viewfinder.storage.tables import metadata


def _plain(settings: Settings) -> Any:
    url = database_url(settings)
    return create_engine(url.set(drivername=url.drivername.replace("+aiosqlite", "")))


def _run(settings: Settings, statement: str) -> None:
    engine = _plain(settings)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_the_steps_lead_to_the_tables_as_they_are_described(settings: Settings) -> None:
    upgrade(settings)

    def compare(connection: Connection) -> Any:
        context = import_module("alembic.migration").MigrationContext.configure(connection)
        return import_module("alembic.autogenerate").compare_metadata(context, metadata)

    engine = _plain(settings)
    with engine.connect() as connection:
        assert compare(connection) == []
    engine.dispose()


def test_the_newest_step_is_the_one_that_is_known() -> None:
    config = import_module("alembic.config").Config()
    config.set_main_option("script_location", "viewfinder.storage:migrations")
    script = import_module("alembic.script").ScriptDirectory.from_config(config)
    assert script.get_heads() == [REVISION]


def test_an_upgrade_says_from_where_to_where(settings: Settings) -> None:
    assert upgrade(settings) == (None, REVISION)
    assert upgrade(settings) == (REVISION, REVISION)


async def test_tables_of_a_newer_release_are_left_alone(settings: Settings) -> None:
    await asyncio.to_thread(upgrade, settings)
    _run(settings, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseError, match="newer release"):
        await open_database(settings)
    with pytest.raises(DatabaseError, match="newer release"):
        await asyncio.to_thread(upgrade, settings)


def test_an_upgrade_by_several_at_once_is_done_once(settings: Settings) -> None:
    url = settings.database.url
    given: dict[str, Any] = {} if url is None else {"DATABASE__URL": url}

    def run(_: int) -> subprocess.CompletedProcess[str]:
        command = ("db", "upgrade", "--json")
        return run_command(*command, home=settings.home, timeout=300, **given)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(run, range(4)))
    assert [result.returncode for result in done] == [0] * 4, done
    assert sorted(result.stdout.count("null") for result in done) == [0, 0, 0, 1]


async def test_a_postgresql_without_tables_names_the_command(settings: Settings) -> None:
    if settings.database.url is None:
        return
    with pytest.raises(DatabaseError, match="viewfinder db upgrade"):
        await open_database(settings)


async def test_a_sqlite_file_is_its_owners_alone_and_keeps_what_it_was_told(tmp_path: Path) -> None:
    database = await open_database(Settings(home=tmp_path / "new" / "home"))
    async with database.writing() as connection:
        names = ("journal_mode", "synchronous", "foreign_keys")
        found = [(await connection.exec_driver_sql(f"PRAGMA {name}")).scalar() for name in names]
    assert found == ["wal", 2, 1]
    files = list((tmp_path / "new" / "home").iterdir())
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {file.name for file in files} >= {"viewfinder.db", "viewfinder.db-wal"}
    await database.close()


async def test_a_damaged_file_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "viewfinder.db").write_bytes(b"no database " * 1000)
    with pytest.raises(DatabaseError, match=r"viewfinder\.db cannot be used: .*not a database"):
        await open_database(Settings(home=tmp_path))


async def test_a_file_that_another_holds_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.storage.database._CONNECT_S", 0.2)
    settings = Settings(home=tmp_path)
    database = await open_database(settings)
    holder = sqlite3.connect(tmp_path / "viewfinder.db")
    holder.execute("BEGIN IMMEDIATE")
    keys = ApiKeys(database)
    assert await keys.all() == ()  # readers are not held up
    with pytest.raises(DatabaseError, match="locked"):
        await keys.revoke("x", datetime.now(UTC))
    holder.rollback()
    holder.close()
    await database.close()


@pytest.mark.parametrize(
    ("given", "becomes"),
    [
        ("postgresql://u@h/n", "postgresql+psycopg://u@h/n"),
        ("postgres://u@h:1/n?sslmode=require", "postgresql+psycopg://u@h:1/n?sslmode=require"),
        ("sqlite:////a/b.db", "sqlite+aiosqlite:////a/b.db"),
        (None, "sqlite+aiosqlite:////home/viewfinder.db"),
    ],
)
def test_an_address_names_its_driver(given: str | None, becomes: str) -> None:
    settings = Settings(home=Path("/home"), database=DatabaseSettings(url=given))
    assert database_url(settings).render_as_string() == becomes


@pytest.mark.parametrize(
    "given",
    ["mysql://u:hunter2@h/n", "postgresql://u:hunter2@h:port/n", "sqlite://", "hunter2", "file.db"],
)
def test_an_address_that_makes_no_sense_is_told(given: str) -> None:
    settings = Settings(database=DatabaseSettings(url=given))
    with pytest.raises(SettingsError, match=r"database\.url is not valid") as told:
        database_url(settings)
    assert "hunter2" not in told.value.detail or given == "hunter2"


def test_a_password_is_never_told(tmp_path: Path) -> None:
    needs("the extra postgres", met=importlib.util.find_spec("psycopg") is not None)
    url = "postgresql://somebody:hunter2@127.0.0.1:1/name"
    for command in (("db", "upgrade"), ("keys", "list"), ("doctor", "--settings"), ("doctor",)):
        result = run_command(*command, home=tmp_path, timeout=300, DATABASE__URL=url)
        assert "127.0.0.1" in result.stdout + result.stderr
        assert "hunter2" not in result.stdout + result.stderr
        assert "Traceback" not in result.stderr


async def test_what_was_to_be_written_stands_in_no_traceback(database: Database) -> None:
    nowhere = text("INSERT INTO nowhere (secret) VALUES (:secret)")
    values = {"secret": "hunter2"}
    with pytest.raises(DatabaseError) as told:
        async with database.writing() as connection:
            await connection.execute(nowhere, values)
    said = "".join(traceback.format_exception(told.value))
    assert "INSERT INTO nowhere" in said
    assert "hunter2" not in said


def test_each_step_can_be_taken_back_and_again(settings: Settings) -> None:
    """What is written to the tables that stay is there afterwards."""
    upgrade(settings)
    keys = "INSERT INTO api_keys (id, name, digest, scopes, created) VALUES "
    _run(settings, f"{keys}('a', 'b', 'c', 'read', '2026-01-01 00:00:00')")
    command, config = import_module("alembic.command"), import_module("alembic.config")
    engine = _plain(settings)

    def go(step: str) -> set[str]:
        steps = config.Config()
        steps.set_main_option("script_location", "viewfinder.storage:migrations")
        with engine.begin() as connection:
            steps.attributes["connection"] = connection
            command.downgrade(steps, step) if step != REVISION else command.upgrade(steps, step)
            return set(inspect(connection).get_table_names())

    assert go("0001") == {"api_keys", "alembic_version"}
    assert go(REVISION) == {*metadata.tables, "alembic_version"}
    with engine.connect() as connection:
        assert connection.execute(text("SELECT name FROM api_keys")).scalars().all() == ["b"]
    assert go("base") == {"alembic_version"}
    assert go(REVISION) == {*metadata.tables, "alembic_version"}
    engine.dispose()
