"""When a call is sent again, and when there has been enough of that."""

import threading
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Retries:
    """How often, and how soon, what failed in passing is tried again.

    The budget is a token bucket, as in gRPC's retry throttling
    (https://github.com/grpc/proposal/blob/master/A6-client-retries.md): each call of a client earns
    a share of a retry, each retry costs a whole one, and when none is left nothing is retried. So a
    server that is broken gets a tenth more requests than usual, and not four times as many.

    Attributes:
        attempts: Tries of one call, the first one included; 1 never tries again.
        budget: Retries that each call earns.
        reserve: Retries that a client begins with, and the most that it holds.
        backoff_s: The wait before the second try is random, up to this; it doubles with each try
            (full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter).
        longest_s: The most that it becomes. A `Retry-After` is waited for in full.
        patient: For work in bulk, that nobody waits for. A server that says when to ask again is
            asked then, as often as the deadline allows: such a retry counts neither as an attempt
            nor against the budget. And a 504, by which it says that it was too busy, is retried.
        try_s: Seconds for one try; None leaves it all that is left until the deadline.
    """

    attempts: int = 4
    budget: float = 0.1
    backoff_s: float = 0.1
    longest_s: float = 10.0
    reserve: float = 10.0
    patient: bool = False
    try_s: float | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("attempts: give 1 or more")
        if min(self.budget, self.backoff_s, self.longest_s, self.reserve) < 0:
            raise ValueError("budget, backoff_s, longest_s and reserve: give 0 or more")
        if self.try_s is not None and not self.try_s > 0:
            raise ValueError("try_s: give seconds above 0")

    def backoff(self, failed: int, random: float) -> float:
        """Seconds to wait after so many failed tries, by a random number of 0-1."""
        return random * min(self.longest_s, self.backoff_s * 2.0 ** min(failed - 1, 60))


USUAL: Final = Retries()


class Budget:
    """The retries that a client may still make; threads share it."""

    def __init__(self, retries: Retries) -> None:
        self._most, self._earned = retries.reserve, retries.budget
        self._left = retries.reserve
        self._lock = threading.Lock()

    def earn(self) -> None:
        """A call has begun."""
        with self._lock:
            self._left = min(self._most, self._left + self._earned)

    def spend(self) -> bool:
        """Take one retry; False if there is none."""
        with self._lock:
            if self._left < 1:
                return False
            self._left -= 1
            return True
