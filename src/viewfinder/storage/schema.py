"""Bringing a database to what this release wants, and saying so where that is not done yet."""

import asyncio
import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from viewfinder.errors import DatabaseError
from viewfinder.settings import Settings
from viewfinder.storage.database import (
    SQLITE,
    Database,
    connect,
    connect_options,
    database_url,
    make_file,
    make_writer,
    prepare,
    told,
)

logger = logging.getLogger(__name__)

# Known here, so that Alembic is imported only by who has something to do with it.
REVISION = "0002"
"""The newest step in `migrations`."""

# A step leaves the release before it at work (docs/backup.md): so that one may start, or start
# again, while the next release comes, or when that has been given up.
_STEPS_AHEAD = 1
_LOCK_S, _LOCK_PAUSE_S = 15.0, 0.05
# Any number that is ours: whoever holds it upgrades, the others wait.
_UPGRADING = 0x7669657766


async def open_database(settings: Settings) -> Database:
    """The database of the settings. SQLite is made, and upgraded, where that is needed.

    Raises:
        DatabaseError: It cannot be reached, read or written; its tables are more than a step newer;
            or, on PostgreSQL, they are not there or of an older release.
        MissingExtraError: PostgreSQL is asked for and not installed.
        SettingsError: The address makes no sense.
    """
    url = database_url(settings)
    if url.get_backend_name() == SQLITE:
        _, found = await asyncio.to_thread(upgrade, settings)
        _warn_of_newer(found)
        return connect(url)
    database = connect(url)
    try:
        # Not in a thread: one that waits for a server that hangs would never come back.
        async with database.reading() as connection:
            await connection.run_sync(_check_revision)
    except BaseException:
        await database.close()
        raise
    return database


def upgrade(settings: Settings) -> tuple[str | None, str]:
    """Bring a database to what this release wants; when several try at once, one does it.

    Returns:
        The step at which it was, None if it was empty, and the one at which it is.

    Raises:
        DatabaseError: It cannot be reached or written, or its tables are more than a step newer.
        MissingExtraError: PostgreSQL is asked for and not installed.
        SettingsError: The address makes no sense.
    """
    url = database_url(settings)
    if url.get_backend_name() != SQLITE:
        return _upgrade(url)
    with told(url), _locked(make_file(url)):
        return _upgrade(url)


def _upgrade(url: URL) -> tuple[str | None, str]:
    with _engine(url) as engine, make_writer(engine).begin() as connection:
        if engine.dialect.name != SQLITE:
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_UPGRADING})"))
        found = _revision(connection)
        if found is None or found < REVISION:
            _migrate(connection)
            return found, REVISION
        return found, found


@contextmanager
def _engine(url: URL) -> Iterator[Engine]:
    """A plain engine of this thread: Alembic knows no other."""
    plain = url.set(drivername=url.drivername.replace("+aiosqlite", ""))
    with told(url):
        options = connect_options(url)
        about = {name: options[name] for name in ("connect_args", "hide_parameters")}
        engine = prepare(create_engine(plain, poolclass=NullPool, **about))
        try:
            yield engine
        finally:
            engine.dispose()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if found is not None and int(found) > int(REVISION) + _STEPS_AHEAD:
        raise DatabaseError(
            f"the database has the tables of a newer release of Viewfinder, at step {found}; "
            f"this one knows {REVISION}: upgrade it"
        )
    return found


def _check_revision(connection: Connection) -> None:
    found = _revision(connection)
    if found is None or found < REVISION:
        lacks = "has no tables yet" if found is None else "has the tables of an older release"
        raise DatabaseError(f"the database {lacks}; run `viewfinder db upgrade`")
    _warn_of_newer(found)


def _warn_of_newer(found: str) -> None:
    if found > REVISION:
        logger.warning(
            "the database is at step %s, of a newer release; this one knows %s, and does with it",
            found,
            REVISION,
        )


def _migrate(connection: Connection) -> None:
    command, config = import_module("alembic.command"), import_module("alembic.config")
    steps: Any = config.Config()
    steps.set_main_option("script_location", "viewfinder.storage:migrations")
    steps.attributes["connection"] = connection
    command.upgrade(steps, REVISION)


def _lock(file: IO[str]) -> None:
    """Wait for the lock, and not for ever: who holds it may hang."""
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise TimeoutError("another process has held it for too long") from None
            time.sleep(_LOCK_PAUSE_S)
        else:
            return


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """SQLite's own locks do not cover the change to WAL, which comes before any transaction."""
    lock = path.with_name(f"{path.name}.lock")
    with lock.open("w") as file:
        lock.chmod(0o600)
        _lock(file)
        yield
