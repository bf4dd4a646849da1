"""A log that is not filled by what happens to each of many thousand photos."""

import time
from collections.abc import Callable

_SILENCE_S = 60.0


class Seldom:
    """Says whether it is time to speak again.

    Args:
        silence_s: Seconds after each word.
        clock: Seconds, from any moment on.
    """

    def __init__(
        self, silence_s: float = _SILENCE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._silence_s = silence_s
        self._clock = clock
        self._spoke = -silence_s

    def may_speak(self) -> bool:
        """Whether to speak now; who asks is taken to do so."""
        now = self._clock()
        if now - self._spoke < self._silence_s:
            return False
        self._spoke = now
        return True
