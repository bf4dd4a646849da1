"""Fixtures: the same database twice."""

from tests.databases import database, settings

__all__ = ["database", "settings"]
