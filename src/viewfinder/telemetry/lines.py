"""Writing a log: what is said for each request costs that request as little as can be."""

import contextlib
import contextvars
import logging
import threading
import time
from typing import TextIO

_GATHER_S = 0.1
_MOST_WAITING = 10_000


class Lines(logging.StreamHandler[TextIO]):
    """Writes a line at once; those of one logger a few at a time, on a thread of its own.

    Each write gives up the interpreter lock, which compute threads then hold for a while: one for
    every request costs more than the line itself. And whoever reads the log may be slow: an answer
    does not wait for that. Such a line is also put into words there, in the context in which it was
    said: many after each other take half the time. What is written at once has all lines before it
    written first.

    Args:
        stream: Where to.
        gathered: The logger whose lines may wait a moment: warnings too, since an overloaded
            server refuses many times as much as it answers.
    """

    def __init__(self, stream: TextIO, gathered: str) -> None:
        super().__init__(stream)
        self._gathered = gathered
        self._waiting: list[tuple[contextvars.Context, logging.LogRecord]] = []
        self._dropped = 0
        self._swap, self._writing = threading.Lock(), threading.Lock()
        self._news = threading.Event()
        self._writer: threading.Thread | None = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Write a record, or let it wait."""
        if record.name != self._gathered:
            self._write_waiting()
            return bool(super().handle(record))
        self._wait(record)  # not under the lock of a handler, which a writer holds
        return True

    def flush(self) -> None:
        """Write what waits."""
        self._write_waiting()
        super().flush()

    def _wait(self, record: logging.LogRecord) -> None:
        with self._swap:
            if len(self._waiting) >= _MOST_WAITING:
                self._dropped += 1
                return
            self._waiting.append((contextvars.copy_context(), record))
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_on, name="log", daemon=True)
                self._writer.start()
        if not self._news.is_set():
            self._news.set()

    def _write_on(self) -> None:
        while True:
            self._news.wait()
            time.sleep(_GATHER_S)
            self._news.clear()
            self._write_waiting()

    def _write_waiting(self) -> None:
        with self._writing:  # who comes second writes after this
            with self._swap:
                waiting, self._waiting = self._waiting, []
                dropped, self._dropped = self._dropped, 0
            if not waiting:
                return
            lines = [context.run(self.format, record) for context, record in waiting]
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                self.stream.write("".join(f"{line}\n" for line in lines))
                self.stream.flush()
        if dropped:
            logging.getLogger(__name__).warning("%d lines of the log are lost", dropped)
