"""The model store as it was last seen, also while it is away."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from viewfinder.errors import StoreError
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.catalog import Catalog
from viewfinder.registry.routing import Routing
from viewfinder.registry.store import ModelStore, look, look_at_start, look_without
from viewfinder.shared.seldom import Seldom

logger = logging.getLogger(__name__)


class FollowedStore:
    """Knows what a store held when it was last looked at.

    Args:
        store: The user's models.
        patient: Whether a store that cannot be read is waited for, with the builtin model where
            there is no copy of it; it is an error else.

    Attributes:
        catalog: What there was, without what proved broken.
        looks: How often the store was looked at, and how often it could not be.
        is_away: Whether the last look has failed.

    Raises:
        StoreError: The store cannot be read, there is no copy, and nobody is patient.
    """

    def __init__(self, store: ModelStore, *, patient: bool) -> None:
        self._log = Seldom()
        self.is_away = False
        if patient:
            self.catalog, problem = look_without(store)
            if problem is not None:
                self._note_absence(problem)
        else:
            self.catalog = look_at_start(store)
        self.looks: Counter[Literal["ok", "failed"]] = Counter()
        self._store = store
        self._one_look = asyncio.Lock()

    async def look(self, *, afresh: bool = False) -> None:
        """Look at the store now.

        Args:
            afresh: Look once more at what has failed.

        Raises:
            StoreError: It cannot be reached; all stays as it is.
        """
        async with self._one_look:
            previous = self.catalog
            known = previous.forgiving() if afresh else previous
            try:
                found = await asyncio.to_thread(look, self._store, known)
            except Exception as error:
                self.looks["failed"] += 1
                self._note_absence(error)
                raise
            self.looks["ok"] += 1
            if self.is_away:
                logger.info("the model store can be read again")
            self.is_away = False
            if not afresh:
                # What failed while the disk was read has been found out since.
                for entry in _failures(self.catalog, previous):
                    found = found.without(*entry)
            self.catalog = found

    async def route(self, name: str, change: Callable[[Routing], Routing]) -> Routing:
        """Change a model's routing in the store.

        Raises:
            StoreError: It cannot be reached or written.
        """
        return await asyncio.to_thread(self._store.route, name, change)

    def found_broken(self, bundle: Bundle, problem: str) -> None:
        """Count a version for broken, until its files change."""
        self.catalog = self.catalog.without(bundle, problem)

    def _note_absence(self, error: Exception) -> None:
        self.is_away = True
        self.catalog = replace(self.catalog, is_whole=False)  # until a look that succeeds
        if self._log.may_speak():
            if isinstance(error, StoreError):
                logger.warning("the model store was not read: %s", error.detail)
            else:  # a fault of ours
                logger.error("the model store was not read", exc_info=error)


def _failures(now: Catalog, before: Catalog) -> Iterator[tuple[Bundle, str]]:
    """What has been found broken between two states of a catalog."""
    for name, versions in before.models.items():
        for version, entry in versions.items():
            found = now.models[name][version]
            if entry.bundle is not None and found.bundle is None:
                yield entry.bundle, str(found.problem)
