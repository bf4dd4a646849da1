"""Fixtures: the same database twice."""

from tests.databases import database, postgres, settings

__all__ = ["database", "postgres", "settings"]
