"""Counting what is lost."""

from collections.abc import Callable

_LATELY_S = 60.0


class Losses:
    """A count, and whether it has grown lately.

    Args:
        clock: Seconds, from any moment on.

    Attributes:
        count: Since the process began.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.count = 0
        self._clock = clock
        self._last: float | None = None

    def add(self) -> None:
        """Count one."""
        self.count += 1
        self._last = self._clock()

    @property
    def lately(self) -> bool:
        """Whether there was one within the last minute."""
        return self._last is not None and self._clock() - self._last < _LATELY_S
