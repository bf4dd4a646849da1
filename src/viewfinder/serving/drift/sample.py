"""Looking at a part of what comes, so that looking costs the same however much comes."""

import random
import time
from collections.abc import Callable

_PERIOD_S = 1.0


class Sample:
    """Chooses at random, about so many in each second; everything where less comes.

    What share to choose is told by what came in the second before: the first second of a rush is
    looked at whole. Threads may ask at the same time; what they then lose is a count in thousands.

    Args:
        per_second: How many to choose.
        clock: Seconds, from any moment on.
        chance: A number of 0-1, each as likely.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._chance = chance
        self._share = 1.0
        self._came = 0
        self._since = self._latest = clock()

    def chosen(self) -> bool:
        """Whether to look at what has come now."""
        now = self._clock()
        if now - self._since >= _PERIOD_S:
            # Of a rush, and the silence after it, the rush alone says how much may come now.
            seconds = max(_PERIOD_S, self._latest - self._since)
            self._share = self._per_second * seconds / max(1, self._came)
            self._came, self._since = 0, now
        self._came += 1
        self._latest = now
        return self._share >= 1 or self._chance() < self._share
