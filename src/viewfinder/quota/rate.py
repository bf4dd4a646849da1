"""Counts requests, in this process or for all replicas in Redis."""

import hashlib
import time
from collections.abc import Callable
from typing import Protocol

from cachetools import LRUCache

from viewfinder.quota.window import Standing, Window
from viewfinder.settings import Settings
from viewfinder.shared.link import Link, NoAnswerError, open_link

_CALLERS = 50_000
_REDIS_PATIENCE_S = 0.05
# A count takes a fraction of a millisecond; to connect takes more, and many at once the longer.
_REDIS_CONNECTIONS = 8
_PREFIX = "viewfinder:rate:"

# `Window.at` and `MemoryCounter.hit`, where no other replica can come between; the clock is that
# of Redis, since those of the replicas differ.
_HIT = """
local limit, length = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local kept = redis.call('HMGET', KEYS[1], 'start', 'previous', 'current')
local start = tonumber(kept[1]) or now
local previous, current = tonumber(kept[2]) or 0, tonumber(kept[3]) or 0
local age = now - start
if age < 0 or age >= 2 * length then
  start, previous, current = now, 0, 0
elseif age >= length then
  start, previous, current = start + length, current, 0
end
age = now - start
local allowed = math.floor(previous * (1 - age / length)) + current < limit
if allowed then
  current = current + 1
  redis.call('HSET', KEYS[1], 'start', string.format('%.6f', start),
             'previous', previous, 'current', current)
  redis.call('EXPIRE', KEYS[1], 2 * length)
end
return {allowed and 1 or 0, previous, current, string.format('%.6f', age)}
"""


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


class RedisCounter:
    """Counts for all replicas; while Redis is away, in this process.

    Args:
        link: The way to Redis.
        window_s: Length of the window, in seconds.
    """

    def __init__(self, link: Link, window_s: int) -> None:
        self.link: Link | None = link
        self._link = link
        self._length = window_s
        self._meanwhile = MemoryCounter(window_s)

    async def hit(self, who: str, requests: int) -> Standing:
        """See `Counter.hit`."""
        digest = hashlib.blake2b(who.encode(), digest_size=16).hexdigest()
        key, arguments = _PREFIX + digest, [requests, self._length]
        try:
            allowed, previous, current, age = await self._link.ask(
                lambda redis: redis.register_script(_HIT)(keys=[key], args=arguments)
            )
        except NoAnswerError:
            return await self._meanwhile.hit(who, requests)
        window = Window(0, previous, current)
        return window.standing(float(age), self._length, requests, allowed=bool(allowed))

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()


def open_counter(settings: Settings) -> Counter:
    """The counter that the settings ask for.

    Raises:
        MissingExtraError: Redis is asked for and not installed.
        SettingsError: The address of Redis makes no sense.
    """
    window_s = settings.rate_limit.window_s
    if settings.redis_url is None:
        return MemoryCounter(window_s)
    link = open_link(
        settings.redis_url,
        setting="redis_url",
        what="the rate limit",
        patience_s=_REDIS_PATIENCE_S,
        connections=_REDIS_CONNECTIONS,
    )
    return RedisCounter(link, window_s)
