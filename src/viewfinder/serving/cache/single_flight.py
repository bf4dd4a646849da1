"""One works an answer out, and all who ask for the same meanwhile wait for what comes of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from viewfinder.errors import RequestError
from viewfinder.serving.cache.store import ResultCache
from viewfinder.serving.compute import Computed, Scores
from viewfinder.telemetry.tracing import span

# Those who send the same photo at once should not part ways over a moment.
_SLACK_S = 0.25


@dataclass(slots=True, eq=False)
class _Flight:
    """Work that is under way, and until when it must have begun."""

    deadline: float
    landed: asyncio.Future[Computed | None]


class CachedComputation:
    """Answers what was answered before, and does not work twice on what is under way.

    Args:
        cache: Where answers are kept.
    """

    def __init__(self, cache: ResultCache) -> None:
        self._cache = cache
        self._flights: dict[str, _Flight] = {}

    async def run(
        self, key: str, classes: int, deadline: float, compute: Callable[[], Awaitable[Computed]]
    ) -> Scores | Computed:
        """Scores that were there, or what `compute` gives.

        Whoever comes first works, and the others wait for what comes of it: but nobody waits for
        one who has more time than himself, and when the first one leaves or runs out of time, the
        next one takes over.

        Args:
            key: The name of the answer.
            classes: How many the model has.
            deadline: On the clock of `time.monotonic`, when the work must have begun.
            compute: Does the work.

        Returns:
            `Computed` if `compute` was called for this very caller.

        Raises:
            Exception: Whatever `compute` raised.
        """
        while True:
            flight = self._flights.get(key)
            if flight is None or flight.deadline > deadline + _SLACK_S:
                return await self._lead(key, classes, deadline, compute)
            # Shielded: a follower who leaves does not take the future with him.
            with span("cache", {"viewfinder.cache": "wait"}) as noted:
                computed = await asyncio.shield(flight.landed)
                noted.set("viewfinder.cache.hit", computed is not None)
            if computed is not None:
                return computed.scores

    async def _lead(
        self, key: str, classes: int, deadline: float, compute: Callable[[], Awaitable[Computed]]
    ) -> Scores | Computed:
        flight = _Flight(deadline, asyncio.get_running_loop().create_future())
        self._flights[key] = flight
        try:
            scores = await self._kept(key, classes)
            if scores is not None:
                flight.landed.set_result(Computed(scores, 0, 0, 0))
                return scores
            computed = await compute()
            flight.landed.set_result(computed)
        except RequestError as error:
            # The photo is at fault, whoever sends it.
            flight.landed.set_exception(error)
            flight.landed.exception()  # there may be nobody to hear it
            raise
        finally:
            if not flight.landed.done():
                flight.landed.set_result(None)
            if self._flights.get(key) is flight:
                del self._flights[key]
        await self._cache.put(key, computed.scores.to_bytes())
        return computed

    async def _kept(self, key: str, classes: int) -> Scores | None:
        with span("cache", {"viewfinder.cache": "look"}) as noted:
            scores = await self._looked_up(key, classes)
            noted.set("viewfinder.cache.hit", scores is not None)
        return scores

    async def _looked_up(self, key: str, classes: int) -> Scores | None:
        kept = await self._cache.get(key)
        if kept is None:
            return None
        try:
            return Scores.from_bytes(kept, classes)
        except ValueError:
            return None  # somebody else wrote it; the right answer will take its place

    async def close(self) -> None:
        """Let go of the cache."""
        await self._cache.close()
