"""Answers by name, and those of this process."""

from typing import Protocol

from cachetools import LRUCache

from viewfinder.shared.link import Link


class ResultCache(Protocol):
    """Keeps bytes by name. It may forget, and it never fails.

    Attributes:
        link: The way to a Redis; None where there is none.
    """

    link: Link | None

    async def get(self, key: str) -> bytes | None:
        """What was put there, if it is still known."""

    async def put(self, key: str, value: bytes) -> None:
        """Keep a value."""

    async def close(self) -> None:
        """Let go of connections."""


class MemoryCache:
    """The most recently used answers, in this process.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self.link: Link | None = None
        self._values: LRUCache[str, bytes] = LRUCache(size)

    async def get(self, key: str) -> bytes | None:
        """See `ResultCache.get`."""
        return self._values.get(key)

    async def put(self, key: str, value: bytes) -> None:
        """See `ResultCache.put`."""
        self._values[key] = value

    async def close(self) -> None:
        """Forget everything."""
        self._values.clear()
