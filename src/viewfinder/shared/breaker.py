"""What hangs is waited for by one at a time."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

_SLOW_S = 1.0
_PAUSE_S = 2.0


class LeftAloneError(Exception):
    """It hung a moment ago, and is left alone. Never reaches a caller."""


class Breaker:
    """Keeps callers from waiting, one after the other, for something that does not answer.

    After a failure that took long it is left alone for a moment. Then one tries it; all others are
    refused until that has come to its end. What fails at once costs nobody time, and is tried by
    everybody. It can be used from several threads.

    Args:
        failures: What is raised by what it guards when that does not answer.
        but: Of these, what is an answer all the same.
        slow_s: Seconds from which on a failure took long.
        pause_s: Seconds for which it is left alone.
        clock: Seconds that never go back.
    """

    def __init__(
        self,
        *failures: type[Exception],
        but: tuple[type[Exception], ...] = (),
        slow_s: float = _SLOW_S,
        pause_s: float = _PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures = failures
        self._answers = but
        self._slow_s = slow_s
        self._pause_s = pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._hangs = self._is_tried = False
        self._again_at = 0.0

    @contextlib.contextmanager
    def guarding(self) -> Iterator[None]:
        """Do something that may hang.

        Raises:
            LeftAloneError: It is not tried now.
        """
        began, is_trial = self._clock(), self._enter()
        try:
            yield
        except self._failures as error:
            is_slow = self._clock() - began >= self._slow_s
            self._hangs = is_slow and not isinstance(error, self._answers)
            self._again_at = self._clock() + self._pause_s
            raise
        else:
            self._hangs = False
        finally:
            if is_trial:
                self._is_tried = False

    def _enter(self) -> bool:
        with self._lock:
            if not self._hangs:
                return False
            if self._is_tried or self._clock() < self._again_at:
                raise LeftAloneError
            self._is_tried = True
            return True
