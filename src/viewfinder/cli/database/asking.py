"""The database of the settings, opened for one question."""

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from viewfinder.storage.database import Database

_T = TypeVar("_T")


def with_database(ask: "Callable[[Database], Awaitable[_T]]") -> _T:
    """Ask the database.

    Raises:
        DatabaseError: It cannot be used.
        OperatorError: It is asked for in a way that makes no sense, or not installed.
    """
    from viewfinder.settings import load_settings
    from viewfinder.storage.schema import open_database

    async def asked() -> _T:
        database = await open_database(load_settings())
        try:
            return await ask(database)
        finally:
            await database.close()

    return asyncio.run(asked())
