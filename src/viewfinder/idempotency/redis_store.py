"""Keys and answers that replicas share. Without Redis, nobody can promise anything."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

from viewfinder.errors import NotReadyError
from viewfinder.idempotency.store import Asked, Claim, Kept
from viewfinder.shared.link import Link, NoAnswerError

_PREFIX = "viewfinder:idempotency:"
_RUNNING = b"running "
_TRIES = 3
_RETRY_S = 1
# Claims of which Redis did not say whether it has them: so many are looked for, and so often.
_MOST_LOST = 256
_LOST_ASKED = 3
_LOST_PAUSE_S = 2.0

# Only the one whose claim still stands may write: a lapsed one has lost its right.
_KEEP = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
"""
_FREE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""


class RedisAnswers:
    """See `viewfinder.idempotency.store.AnswerStore`.

    Args:
        link: The way to Redis.
        ttl_s: Seconds that an answer is kept.
        lease_s: Seconds after which a claim lapses: its process has died.
    """

    def __init__(self, link: Link, *, ttl_s: int, lease_s: float) -> None:
        self.link: Link | None = link
        self._link = link
        self._ttl_s = ttl_s
        self._lease_ms = round(lease_s * 1000)
        self._freeing: set[asyncio.Task[None]] = set()

    async def claim(self, key: str) -> Claim | Kept | None:
        """See `AnswerStore.claim`."""
        claim = Claim.to(key)
        mine = _running(claim)
        was_sent = False

        async def take(redis: Any) -> Any:
            nonlocal was_sent
            was_sent = True
            return await redis.set(_PREFIX + key, mine, nx=True, px=self._lease_ms)

        try:
            for _ in range(_TRIES):
                if await self._link.ask(take):
                    return claim
                found = await self._link.ask(lambda redis: redis.get(_PREFIX + key))
                if found == mine:  # taken by a first try, whose answer was lost on the way
                    return claim
                if found is not None:  # else it has ended just now
                    return None if found.startswith(_RUNNING) else _read(found)
        except NoAnswerError as error:
            if was_sent:  # Redis may have taken it in all the same
                self._free_lost(claim)
            raise NotReadyError(
                "Idempotency keys are out of reach, so that nobody can say whether this request "
                "was carried out before. Try again, or leave the key out.",
                retry_after_s=_RETRY_S,
            ) from error
        return None

    async def keep(self, claim: Claim, kept: Kept) -> None:
        """See `AnswerStore.keep`."""
        with contextlib.suppress(NoAnswerError):  # the claim will lapse
            await self._run(_KEEP, claim, [_running(claim), _write(kept), self._ttl_s])

    async def free(self, claim: Claim) -> None:
        """See `AnswerStore.free`."""
        with contextlib.suppress(NoAnswerError):  # the claim will lapse
            await self._run(_FREE, claim, [_running(claim)])

    async def close(self) -> None:
        """Close the connections; lost claims lapse."""
        for task in self._freeing:
            task.cancel()
        await asyncio.gather(*self._freeing, return_exceptions=True)
        await self._link.close()

    def _free_lost(self, claim: Claim) -> None:
        """Free, as soon as Redis answers, a claim that it may have taken in without a word.

        Otherwise everybody would be told until it lapses that somebody is at work. Nobody waits.
        """
        if len(self._freeing) < _MOST_LOST:
            task = asyncio.create_task(self._free_until_gone(claim))
            self._freeing.add(task)
            task.add_done_callback(self._freeing.discard)

    async def _free_until_gone(self, claim: Claim) -> None:
        # More than once: over its own connection, the first may overtake the claim.
        left = _LOST_ASKED
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._lease_ms / 1000):
                while left:
                    with contextlib.suppress(NoAnswerError):
                        if await self._run(_FREE, claim, [_running(claim)]):
                            return
                        left -= 1
                    await asyncio.sleep(_LOST_PAUSE_S)

    async def _run(self, script: str, claim: Claim, arguments: Sequence[bytes | int]) -> int:
        """What a script says.

        Raises:
            NoAnswerError: Nobody knows.
        """
        said: int = await self._link.ask(
            lambda redis: redis.register_script(script)(keys=[_PREFIX + claim.key], args=arguments)
        )
        return said


def _running(claim: Claim) -> bytes:
    return _RUNNING + claim.token.encode()


def _write(kept: Kept) -> bytes:
    head = [kept.asked.digest, kept.asked.length, kept.status, kept.headers]
    return json.dumps(head).encode() + b"\n" + kept.body


def _read(found: bytes) -> Kept | None:
    """An answer; None for what somebody else has written, which stands until it expires."""
    head, _, body = found.partition(b"\n")
    try:
        digest, length, status, headers = json.loads(head)
        pairs = tuple((str(name), str(value)) for name, value in headers)
        return Kept(Asked(str(digest), int(length)), int(status), pairs, body)
    except (ValueError, TypeError):
        return None
