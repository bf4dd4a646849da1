"""The database: SQLite in a file, or PostgreSQL. Its address, its connections, its state.

Import it only where a database is needed: SQLAlchemy takes a third of a second and 25 MB.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from viewfinder.errors import DatabaseError, MissingExtraError, SettingsError
from viewfinder.settings import Settings
from viewfinder.shared.breaker import Breaker, LeftAloneError
from viewfinder.shared.plain import without_password
from viewfinder.storage.link import FILE
from viewfinder.telemetry.tracing import Block, span

SQLITE = "sqlite"
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_FORMS = "is neither postgresql://user@host/name nor sqlite:////path/of/a.db"
_WRITES = "viewfinder_writes"
_CONNECT_S = 5
_PATIENCE_S = 15
_HANGS_S = 4.0


class Transactions(Protocol):
    """A database, or a way to one."""

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """See `Database.reading`."""

    def writing(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """See `Database.writing`."""


class Database:
    """Connections to one database, whose tables are as this release wants them.

    Of those who need a PostgreSQL that hangs, one waits at a time: the others are refused at once.

    Args:
        engine: Where the connections come from.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        is_file = engine.url.get_backend_name() == SQLITE
        self._file = Path(str(engine.url.database)) if is_file else None
        self._inode: tuple[int, int] | None = None
        # SQLite answers in time, or is held by another, who is waited for.
        # PostgreSQL itself waits a second before it refuses one side of a deadlock.
        self._breaker = None if is_file else Breaker(DatabaseError, slow_s=_HANGS_S)

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads.

        Raises:
            DatabaseError: The database cannot be reached or read.
        """
        with self._span("read"), self._guarded():
            await self._follow_file()
            async with asyncio.timeout(_PATIENCE_S), self._engine.begin() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes, and is kept when the block ends without an error.

        Raises:
            DatabaseError: The database cannot be reached or written.
        """
        writer = self._engine.execution_options(**{_WRITES: True})
        with self._span("write"), self._guarded():
            await self._follow_file()
            async with asyncio.timeout(_PATIENCE_S), writer.begin() as connection:
                yield connection

    def _span(self, what: str) -> Block:
        """No statement is in it: only how long a transaction took."""
        system = "postgresql" if self._file is None else SQLITE
        return span("storage", {"db.system.name": system, "db.operation.name": what}, "client")

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        url = self._engine.url
        with contextlib.ExitStack() as held:
            if self._breaker is not None:
                try:
                    held.enter_context(self._breaker.guarding())
                except LeftAloneError as error:
                    raise DatabaseError(
                        f"the database {_shown(url)} does not answer", may_pass=True
                    ) from error
            held.enter_context(told(url))
            yield

    async def _follow_file(self) -> None:
        """An open connection would go on with a file that another has replaced, or taken away.

        Raises:
            OSError: It is not there; SQLite would make an empty one.
        """
        if self._file is None:
            return
        found = self._file.stat()
        inode = found.st_dev, found.st_ino
        if self._inode not in {None, inode}:
            await self._engine.dispose()
        self._inode = inode

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


def database_url(settings: Settings) -> URL:
    """The address of the database, with the driver that is used for it.

    Raises:
        SettingsError: It makes no sense, or is of another kind of database.
    """
    given = settings.database.url
    if given is None:
        return URL.create(_DRIVERS[SQLITE], database=str(settings.home / FILE))
    shown = without_password(given)
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(f"the setting database.url is not valid: {shown} {_FORMS}") from error
    if url.drivername not in _DRIVERS or not url.database or _is_odd_file(url):
        raise SettingsError(f"the setting database.url is not valid: {shown} {_FORMS}")
    return url.set(drivername=_DRIVERS[url.drivername])


def _is_odd_file(url: URL) -> bool:
    """Whether it is SQLite in memory, by a query, or at a place that depends on who asks."""
    is_file = url.get_backend_name() == SQLITE
    return is_file and (bool(url.query) or not str(url.database).startswith("/"))


def connect_options(url: URL) -> dict[str, Any]:
    """What makes a connection give up in time, and tell no values in a traceback."""
    if url.get_backend_name() == SQLITE:
        return {"hide_parameters": True, "connect_args": {"timeout": _CONNECT_S}}
    return {
        "hide_parameters": True,
        "connect_args": {"connect_timeout": _CONNECT_S, "tcp_user_timeout": 1000 * _PATIENCE_S},
        "pool_pre_ping": True,
        "pool_size": 2,
    }


def prepare(engine: Engine) -> Engine:
    """Set how connections of an engine behave: on SQLite, what is not its default."""
    if engine.dialect.name == SQLITE:
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # Python's driver would begin, or not, as it sees fit
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _on_begin(connection: Connection) -> None:
    # Who reads first and writes then would be refused where another has written meanwhile.
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def make_writer(engine: Engine) -> Engine:
    """The same engine, with transactions that write."""
    return engine.execution_options(**{_WRITES: True})


@contextlib.contextmanager
def told(url: URL) -> Iterator[None]:
    """Turn what a driver raises into one plain line, without the password."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:  # a TimeoutError is an OSError
        reason, may_pass = _reason(error, url), isinstance(error, (OperationalError, OSError))
        refused = DatabaseError(
            f"the database {_shown(url)} cannot be used: {reason}", may_pass=may_pass
        )
        if url.get_backend_name() == SQLITE and getattr(error, "errno", None) is not None:
            refused.add_note("It lies in the data home: VIEWFINDER_HOME names another folder.")
        raise refused from error
    except ModuleNotFoundError as error:
        raise MissingExtraError("A database on PostgreSQL", "postgres") from error


def _shown(url: URL) -> str:
    if url.get_backend_name() == SQLITE:
        return str(url.database)
    return without_password(url.set(drivername="postgresql").render_as_string())


def _reason(error: Exception, url: URL) -> str:
    cause = getattr(error, "orig", None) or error
    text = str(getattr(cause, "strerror", None) or cause).strip() or "it does not answer"
    line = text.splitlines()[0]
    return line.replace(str(url.password), "***") if url.password else line


def make_file(url: URL) -> Path:
    """The file of a SQLite database, made for its owner alone if it is not there."""
    path = Path(str(url.database))
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    return path


def connect(url: URL) -> Database:
    """Connections to a database whose tables are there; none is made yet."""
    with told(url):
        engine = create_async_engine(url, **connect_options(url))
        prepare(engine.sync_engine)
        return Database(engine)
