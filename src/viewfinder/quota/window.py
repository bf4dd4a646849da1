"""The sliding window: two counters tell how much somebody asked of late."""

import math
from dataclasses import dataclass

# More than any rounding error of a sum of seconds.
_TOLERANCE_S = 1e-4


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands after a request.

    Attributes:
        limit: Requests within a window.
        remaining: How many more are taken now.
        reset_s: Whole seconds until the window ends; with none remaining, until one more is taken.
        allowed: Whether this one was taken.
    """

    limit: int
    remaining: int
    reset_s: int
    allowed: bool


@dataclass(frozen=True, slots=True)
class Window:
    """Requests of one caller.

    The window before counts by the part of it that a window's length, looking back from now,
    still covers.

    Attributes:
        start: When it began, in seconds on a clock of the caller's choice.
        previous: Requests taken in the window before.
        current: Requests taken in this one.
    """

    start: float
    previous: int = 0
    current: int = 0

    def at(self, now: float, length: float) -> "Window":
        """The window that `now` is in, when each is `length` seconds long."""
        age = now - self.start
        if 0 <= age < length:
            return self
        if length <= age < 2 * length:
            return Window(self.start + length, self.current)
        return Window(now)

    def used(self, age: float, length: float) -> int:
        """Requests that count when it is `age` seconds old."""
        return math.floor(self.previous * (1 - age / length)) + self.current

    def standing(self, age: float, length: float, limit: int, *, allowed: bool) -> Standing:
        """How its caller stands, `age` seconds after its start."""
        remaining = max(0, limit - self.used(age, length))
        reset = math.ceil(length - age) if remaining else self._wait(age, length, limit)
        return Standing(limit, remaining, reset, allowed)

    def _wait(self, age: float, length: float, limit: int) -> int:
        """Whole seconds after which one more is taken."""
        if self.current < limit:  # as soon as enough of the window before is out of sight
            wait = length * (1 - (limit - self.current) / self.previous) - age
        else:
            wait = length - age + length * (1 - limit / max(1, self.current))
        return 1 + math.floor(wait + _TOLERANCE_S)  # strictly more than that
