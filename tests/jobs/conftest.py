"""Fixtures: the databases of the room below."""

from tests.storage.conftest import database, postgres, settings

__all__ = ["database", "postgres", "settings"]
