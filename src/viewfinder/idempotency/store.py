"""Which requests are under way or answered, by the key that their senders gave them."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

from cachetools import TTLCache

from viewfinder.settings import MIB
from viewfinder.shared.link import Link

LONGEST_ANSWER = MIB
"""Bytes of the longest answer that is kept: 64 photos with the 100 best classes of each fit."""

_MOST_BYTES = 64 * MIB
_OVERHEAD = 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked, as far as it takes to know it again.

    Attributes:
        digest: SHA-256 of the query, the media type and the body, as 64 hexadecimal digits.
        length: Of the body, in bytes.
    """

    digest: str
    length: int


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer, and to what.

    Attributes:
        asked: The request.
        status: Of the answer.
        headers: Those of its headers that belong to it for good.
        body: Of the answer.
    """

    asked: Asked
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Claim:
    """The right, and the duty, to carry a request out.

    Attributes:
        key: Of the request.
        token: Tells this claim from one that came after it had lapsed.
    """

    key: str
    token: str

    @classmethod
    def to(cls, key: str) -> "Claim":
        """A new one."""
        return cls(key, uuid.uuid4().hex)


class AnswerStore(Protocol):
    """Lets one of many with the same key through, and keeps its answer for the others.

    Attributes:
        link: The way to a Redis; None where there is none.
    """

    link: Link | None

    async def claim(self, key: str) -> Claim | Kept | None:
        """Ask to carry out the request of that key.

        Returns:
            A claim, which must be kept or freed; the answer, if there is one; None as long as
            somebody else is at work.

        Raises:
            NotReadyError: Nobody can say.
        """

    async def keep(self, claim: Claim, kept: Kept) -> None:
        """Keep the answer of a request that was claimed. It may be lost; it never fails."""

    async def free(self, claim: Claim) -> None:
        """Let somebody else try. It never fails."""

    async def close(self) -> None:
        """Let go of connections."""


class MemoryAnswers:
    """The answers of this process; the oldest make room.

    Args:
        ttl_s: Seconds that an answer is kept.
        most_bytes: All answers together, each with a kilobyte for itself.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        ttl_s: int,
        *,
        most_bytes: int = _MOST_BYTES,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.link: Link | None = None
        # As many as there are requests at a time.
        self._running: dict[str, Claim] = {}
        self._kept: TTLCache[str, Kept] = TTLCache(
            most_bytes, ttl_s, timer=clock, getsizeof=lambda kept: len(kept.body) + _OVERHEAD
        )

    async def claim(self, key: str) -> Claim | Kept | None:
        """See `AnswerStore.claim`."""
        if key in self._running:
            return None
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        self._running[key] = claim = Claim.to(key)
        return claim

    async def keep(self, claim: Claim, kept: Kept) -> None:
        """See `AnswerStore.keep`."""
        self._kept[claim.key] = kept
        del self._running[claim.key]

    async def free(self, claim: Claim) -> None:
        """See `AnswerStore.free`."""
        del self._running[claim.key]

    async def close(self) -> None:
        """Forget everything."""
        self._kept.clear()
