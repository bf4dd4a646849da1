"""The result cache that replicas share. Away, it is as if it held nothing, and costs no time."""

import asyncio
import logging
import time

from redis.asyncio import ConnectionPool, Redis
from redis.exceptions import RedisError, ResponseError

from viewfinder.errors import SettingsError

logger = logging.getLogger(__name__)

_PREFIX = "viewfinder:result:"
_PATIENCE_S = 0.5
_LEFT_ALONE_S = 5.0
_CONNECTIONS = 32
_WRITES = 256
# What Redis says of a key that holds a list or a set: somebody else's, and no reason to leave it.
_NO_STRING = "WRONGTYPE"


class RedisCache:
    """See `viewfinder.serving.cache.ResultCache`.

    Args:
        url: `redis://host:6379/0`; `rediss://` for TLS.
        ttl_s: Seconds that an answer is kept.

    Raises:
        SettingsError: The address makes no sense.
    """

    def __init__(self, url: str, *, ttl_s: int) -> None:
        try:
            pool = ConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                socket_timeout=_PATIENCE_S,
                socket_connect_timeout=_PATIENCE_S,
            )
            pool.connection_kwargs["decode_responses"] = False  # values are no text
            pool.make_connection()  # without connecting: an option that does not exist shows here
        except ValueError as error:
            raise SettingsError(f"the setting cache.redis_url is not valid: {error}") from error
        except TypeError as error:
            raise SettingsError(
                "the setting cache.redis_url is not valid: it has an option that is not known"
            ) from error
        self._redis = Redis(connection_pool=pool)
        # Waiting for a connection is no sign that Redis is away: the pool itself would say so.
        self._free = asyncio.Semaphore(_CONNECTIONS)
        self._writing: set[asyncio.Task[None]] = set()
        self._ttl_s = ttl_s
        self._away_until = 0.0

    async def get(self, key: str) -> bytes | None:
        """See `ResultCache.get`."""
        async with self._free:
            if self._is_away():
                return None
            try:
                value: bytes | None = await self._redis.get(_PREFIX + key)
            except (RedisError, OSError) as error:
                if not (isinstance(error, ResponseError) and str(error).startswith(_NO_STRING)):
                    self._leave_alone(error)
                return None
            return value

    async def put(self, key: str, value: bytes) -> None:
        """See `ResultCache.put`. Nobody waits for it; when too much is under way, it is dropped."""
        if self._is_away() or len(self._writing) >= _WRITES:
            return
        task = asyncio.create_task(self._write(key, value))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Let what is under way end, and close the connections."""
        await asyncio.gather(*self._writing)
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _write(self, key: str, value: bytes) -> None:
        async with self._free:
            if self._is_away():
                return
            try:
                await self._redis.set(_PREFIX + key, value, ex=self._ttl_s)
            except (RedisError, OSError) as error:
                self._leave_alone(error)

    def _is_away(self) -> bool:
        return time.monotonic() < self._away_until

    def _leave_alone(self, error: Exception) -> None:
        """Ask it no more for a while: every request would wait for it in vain."""
        if not self._is_away():
            logger.warning("the result cache in Redis is away: %s", type(error).__name__)
        self._away_until = time.monotonic() + _LEFT_ALONE_S
