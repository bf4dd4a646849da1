"""The database of a running process: opened when it is first needed, and again when it was away.

This module costs nothing to import; SQLAlchemy comes with the first use.
"""

import asyncio
import time
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from viewfinder.errors import DatabaseError
from viewfinder.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from viewfinder.storage.database import Database

FILE = "viewfinder.db"
"""The SQLite file in the data home, where no other database is named."""

_PAUSE_S = 2.0
# How long a look takes at most, and for how long nobody looks again.
_LOOK_S, _FRESH_S = 2.0, 1.0


class DatabaseLink:
    """Hands out one `Database` to everybody in the process who needs it.

    Args:
        settings: Where the database is.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening = asyncio.Lock()
        self._opened = asyncio.Event()
        self._database: Database | None = None
        self._failure: tuple[float, str, bool] | None = None
        self._looking = asyncio.Lock()
        self._look: tuple[float, bool] | None = None
        self._asked: asyncio.Task[bool] | None = None

    @property
    def is_there(self) -> bool:
        """Whether there can be anything in it: a file that nobody has made yet is not opened."""
        settings = self._settings
        return settings.database.url is not None or (settings.home / FILE).exists()

    async def wanted(self) -> None:
        """Wait until there is a database to look into: open, asked for, or there from before.

        Who works in the background waits for that: a server that keeps nothing imports nothing.
        """
        if not self.is_there:
            await self._opened.wait()

    async def open(self) -> "Database":
        """The database.

        Who asks soon after a failure, or while another tries again, hears of that failure, and
        waits for none.

        Raises:
            DatabaseError: It cannot be used as it is.
            OperatorError: It is asked for in a way that makes no sense, or not installed.
        """
        if self._database is not None:
            return self._database
        self._tell_failure(tried_now=self._opening.locked())
        async with self._opening:
            if self._database is None:
                self._tell_failure()
                self._database = await self._open()
                self._opened.set()
            return self._database

    def _tell_failure(self, *, tried_now: bool = False) -> None:
        if self._failure is not None:
            until, detail, may_pass = self._failure
            if tried_now or time.monotonic() < until:
                # One of his own: each raise would lengthen a shared one.
                raise DatabaseError(detail, may_pass=may_pass)

    @asynccontextmanager
    async def reading(self) -> "AsyncIterator[AsyncConnection]":
        """See `Database.reading`; opened first where that has not been done."""
        async with (await self.open()).reading() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> "AsyncIterator[AsyncConnection]":
        """See `Database.writing`; opened first where that has not been done."""
        async with (await self.open()).writing() as connection:
            yield connection

    async def _open(self) -> "Database":
        try:
            schema = await asyncio.to_thread(import_module, "viewfinder.storage.schema")
            database: Database = await schema.open_database(self._settings)
        except DatabaseError as error:
            self._failure = time.monotonic() + _PAUSE_S, error.detail, error.may_pass
            raise
        self._failure = None
        return database

    async def answers(self) -> bool:
        """Whether it can be read: looked at once a second at most, however often that is asked."""
        async with self._looking:
            if self._look is None or time.monotonic() >= self._look[0]:
                answers = await self._try()
                self._look = time.monotonic() + _FRESH_S, answers
            return self._look[1]

    async def _try(self) -> bool:
        # Not cancelled: that takes the driver long, and what comes of it tells the breaker.
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(self._read_one())
        done, _ = await asyncio.wait({self._asked}, timeout=_LOOK_S)
        return bool(done) and self._asked.result()

    async def _read_one(self) -> bool:
        try:
            async with self.reading() as connection:
                await connection.exec_driver_sql("SELECT 1")
        except DatabaseError:
            return False
        return True

    async def close(self) -> None:
        """Close all connections; who asks after that opens it anew."""
        if self._asked is not None:
            self._asked.cancel()
            await asyncio.wait({self._asked})
        database, self._database = self._database, None
        if database is not None:
            await database.close()
