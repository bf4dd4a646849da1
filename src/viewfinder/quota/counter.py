"""What a counter of requests is, and one in this process."""

import time
from collections.abc import Callable
from typing import Protocol

from cachetools import LRUCache

from viewfinder.quota.window import Standing, Window
from viewfinder.shared.link import Link

_CALLERS = 50_000


class Counter(Protocol):
    """Counts the requests of each caller.

    Attributes:
        link: The way to a Redis; None where there is none.
    """

    link: Link | None

    async def hit(self, who: str, requests: int) -> Standing:
        """Count one request, unless it is one too many.

        Args:
            who: The caller.
            requests: How many it may ask within the window.
        """

    async def close(self) -> None:
        """Let go of connections."""


class MemoryCounter:
    """Counts in this process; those who have not asked for longest are forgotten first.

    Args:
        window_s: Length of the window, in seconds.
        callers: How many are remembered.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        window_s: int,
        *,
        callers: int = _CALLERS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.link: Link | None = None
        self._length = window_s
        self._windows: LRUCache[str, Window] = LRUCache(callers)
        self._clock = clock

    async def hit(self, who: str, requests: int) -> Standing:
        """See `Counter.hit`."""
        now = self._clock()
        window = self._windows.get(who, Window(now)).at(now, self._length)
        age = now - window.start
        allowed = window.used(age, self._length) < requests
        if allowed:
            window = Window(window.start, window.previous, window.current + 1)
            self._windows[who] = window
        return window.standing(age, self._length, requests, allowed=allowed)

    async def close(self) -> None:
        """Forget everybody."""
        self._windows.clear()
