"""The result cache that replicas share. Away, it is as if it held nothing, and costs no time."""

import asyncio
import contextlib

from viewfinder.shared.link import Link, NoAnswerError

_PREFIX = "viewfinder:result:"
_WRITES = 256


class RedisCache:
    """See `viewfinder.serving.cache.ResultCache`.

    Args:
        link: The way to Redis.
        ttl_s: Seconds that an answer is kept.
    """

    def __init__(self, link: Link, *, ttl_s: int) -> None:
        self.link: Link | None = link
        self._link = link
        self._writing: set[asyncio.Task[None]] = set()
        self._ttl_s = ttl_s

    async def get(self, key: str) -> bytes | None:
        """See `ResultCache.get`."""
        try:
            value: bytes | None = await self._link.ask(lambda redis: redis.get(_PREFIX + key))
        except NoAnswerError:
            return None
        return value

    async def put(self, key: str, value: bytes) -> None:
        """See `ResultCache.put`. Nobody waits for it; when too much is under way, it is dropped."""
        if self._link.left_alone or len(self._writing) >= _WRITES:
            return
        task = asyncio.create_task(self._write(key, value))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Let what is under way end, and close the connections."""
        await asyncio.gather(*self._writing)
        await self._link.close()

    async def _write(self, key: str, value: bytes) -> None:
        with contextlib.suppress(NoAnswerError):
            await self._link.ask(lambda redis: redis.set(_PREFIX + key, value, ex=self._ttl_s))
