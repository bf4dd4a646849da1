"""The same database twice, on SQLite and on PostgreSQL: fixtures, for the rooms that want them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from viewfinder.settings import DatabaseSettings, Settings
from viewfinder.storage.database import Database
from viewfinder.storage.schema import open_database, upgrade

if TYPE_CHECKING:
    from tests.postgres import PostgresServer

__all__ = ["database", "settings"]


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings that lead to an empty database of either kind."""
    if request.param == "sqlite":
        return Settings(home=tmp_path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return Settings(home=tmp_path, database=DatabaseSettings(url=server.new_database()))


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """A database of either kind, with its tables."""
    await asyncio.to_thread(upgrade, settings)
    opened = await open_database(settings)
    yield opened
    await opened.close()
