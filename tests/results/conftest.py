"""Fixtures: the same database twice, and what was reviewed in it."""

from tests.databases import database, settings
from tests.results.reviewing import reviewed

__all__ = ["database", "reviewed", "settings"]
