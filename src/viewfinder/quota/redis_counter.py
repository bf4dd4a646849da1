"""Counts requests for all replicas. Without Redis, each goes on for itself."""

import hashlib

from viewfinder.quota.counter import MemoryCounter
from viewfinder.quota.window import Standing, Window
from viewfinder.shared.link import Link, NoAnswerError

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


class RedisCounter:
    """See `viewfinder.quota.counter.Counter`; while Redis is away, it counts in this process.

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
