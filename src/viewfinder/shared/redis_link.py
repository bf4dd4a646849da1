"""A Redis that costs no time when it is away, and is asked again when it may be back."""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from viewfinder.errors import SettingsError
from viewfinder.shared.link import Answer, NoAnswerError

logger = logging.getLogger(__name__)

_LEFT_ALONE_S = 2.0
# What Redis says of a key that holds another kind of value: somebody else's, and no reason to
# leave it.
_OTHER_KIND = "WRONGTYPE"


class RedisLink:
    """See `viewfinder.shared.link.Link`, and `open_link` for the arguments.

    Raises:
        SettingsError: The address makes no sense.
    """

    def __init__(
        self, url: str, *, setting: str, what: str, patience_s: float, connections: int
    ) -> None:
        try:
            # A connection that Redis has closed meanwhile is replaced, without a pause.
            pool = ConnectionPool.from_url(
                url, max_connections=connections, retry=Retry(NoBackoff(), 1)
            )
            pool.connection_kwargs["decode_responses"] = False  # values are no text
            pool.make_connection()  # without connecting: an option that does not exist shows here
        except ValueError as error:
            raise SettingsError(f"the setting {setting} is not valid: {error}") from error
        except TypeError as error:
            raise SettingsError(
                f"the setting {setting} is not valid: it has an option that is not known"
            ) from error
        self._redis = Redis(connection_pool=pool)
        # Waiting for a connection is no sign that Redis is away: the pool itself would say so.
        self._free = asyncio.Semaphore(connections)
        self._what = what
        self._patience_s = patience_s
        self._away = self._refuses = False
        self._next_try = 0.0
        self._silent_since = math.inf

    @property
    def is_away(self) -> bool:
        """See `Link.is_away`."""
        return self._away

    @property
    def left_alone(self) -> bool:
        """See `Link.left_alone`."""
        return self._away and time.monotonic() < self._next_try

    async def ask(self, command: Callable[[Any], Awaitable[Answer]]) -> Answer:
        """See `Link.ask`."""
        async with self._free:
            if self.left_alone:
                raise NoAnswerError
            # One asks whether it is back; the others need not wait for what comes of it.
            began = time.monotonic()
            self._next_try = began + _LEFT_ALONE_S
            try:
                async with asyncio.timeout(self._patience_s):
                    answer = await command(self._redis)
            except (RedisError, OSError) as error:
                if isinstance(error, TimeoutError) and began < self._silent_since:
                    # Once may be the fault of this process, when it is busy.
                    self._silent_since = min(time.monotonic(), self._silent_since)
                elif not _is_of_other_kind(error):
                    self._leave_alone(error)
                raise NoAnswerError from error
            self._welcome()
            return answer

    async def look(self) -> None:
        """See `Link.look`. One that answers and refuses what is asked for would take this, too."""
        if not self._refuses:
            with contextlib.suppress(NoAnswerError):
                await self.ask(lambda redis: redis.ping())

    async def close(self) -> None:
        """See `Link.close`."""
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    def _leave_alone(self, error: Exception) -> None:
        """Ask it no more for a while: every request would wait for it in vain."""
        if not self._away:
            logger.warning("%s in Redis is away: %s", self._what, type(error).__name__)
        self._away = True
        self._refuses = isinstance(error, ResponseError)
        self._next_try = time.monotonic() + _LEFT_ALONE_S

    def _welcome(self) -> None:
        if self._away:
            logger.info("%s in Redis is back", self._what)
        self._away = self._refuses = False
        self._silent_since = math.inf


def _is_of_other_kind(error: Exception) -> bool:
    return isinstance(error, ResponseError) and str(error).startswith(_OTHER_KIND)
