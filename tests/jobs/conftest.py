"""Fixtures: the databases of the room below."""

from tests.databases import database, settings

__all__ = ["database", "settings"]
