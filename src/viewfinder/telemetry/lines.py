"""Writing a log: what is said for each request costs that request as little as can be."""

import atexit
import contextlib
import contextvars
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

logger = logging.getLogger(__name__)

_GATHER_S = 0.1
# So many are said without a pause: as long as they take, no other thread has the interpreter lock.
_AT_ONCE, _PAUSE_S = 32, 0.0005
_MOST_WAITING = 5_000  # each keeps a few kilobytes of its request


class Later:
    """Says on a thread of its own, a moment later and many together, what can wait.

    After a model has run, nothing else is left in the processor's caches: what is done once then
    takes several times as long as when it is done again and again.
    """

    def __init__(self) -> None:
        # No lock around it: whatever is done may collect garbage, and garbage may log.
        self._waiting: deque[tuple[contextvars.Context, Callable[[], None]]] = deque()
        self._dropped = 0
        self._starting, self._settling = threading.Lock(), threading.RLock()
        self._settler: int | None = None
        self._news = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_settling_here(self) -> bool:
        """Whether it is this thread that says now what has waited."""
        return self._settler == threading.get_ident()

    def say(self, line: Callable[[], None]) -> None:
        """Let something wait, to be said in the context that there is now."""
        if len(self._waiting) >= _MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append((contextvars.copy_context(), line))
        if self._thread is None:
            self._start()
        if not self._news.is_set():
            self._news.set()

    def settle(self, most: int = _MOST_WAITING) -> None:
        """Say what waits, now: all of it, or so many."""
        with self._settling:  # who comes second speaks after this
            if not self._waiting:
                return
            outer, self._settler = self._settler, threading.get_ident()
            try:
                for _ in range(min(most, len(self._waiting))):
                    self._say_one()
            finally:
                self._settler = outer
            for handler in logging.getLogger().handlers:
                handler.flush()
            dropped, self._dropped = self._dropped, 0
        if dropped:
            logger.warning("%d lines of the log are lost", dropped)

    def _say_one(self) -> None:
        with contextlib.suppress(IndexError):  # said meanwhile, by what was logged in here
            context, line = self._waiting.popleft()
            try:
                context.run(line)
            except Exception:
                logger.exception("a line of the log is lost")

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._go_on, name="log", daemon=True)
                self._thread.start()
                atexit.register(self.settle)

    def _go_on(self) -> None:
        while True:
            self._news.wait()
            time.sleep(_GATHER_S)
            self._news.clear()
            while self._waiting:
                self.settle(_AT_ONCE)
                time.sleep(_PAUSE_S)


LATER = Later()
"""That of this process, as its log is."""


class Lines(logging.StreamHandler[TextIO]):
    """Writes a line at once; those that have waited, together.

    Each write gives up the interpreter lock, which compute threads then hold for a while. And
    whoever reads the log may be slow: no answer waits for that. What is written at once has all
    lines before it written first.

    Args:
        stream: Where to.
        later: Where lines wait.
    """

    def __init__(self, stream: TextIO, later: Later = LATER) -> None:
        super().__init__(stream)
        self._later = later
        self._together: list[str] = []

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record, or keep it until all that have waited are there."""
        if self._later.is_settling_here:
            if is_wanted := bool(self.filter(record)):
                line = self.format(record)  # first: another thread may take the list meanwhile
                self._together.append(line)
            return is_wanted
        self._later.settle()
        return bool(super().handle(record))

    def flush(self) -> None:
        """Write what was kept."""
        lines, self._together = self._together, []
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            if lines:
                self.stream.write("".join(f"{line}\n" for line in lines))
            # Without the handler's lock: who holds it may wait for what is settled here.
            self.stream.flush()
