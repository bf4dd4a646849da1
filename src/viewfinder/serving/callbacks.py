"""Plug-ins that hear of every prediction, and cannot slow or break one.

A package offers one under the entry point group `viewfinder.callbacks`:

    [project.entry-points."viewfinder.callbacks"]
    audit = "my_package:AuditLog"
"""

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Protocol

from viewfinder.shared.seldom import Seldom
from viewfinder.telemetry.tracing import Span, current, span
from viewfinder.types import Prediction

GROUP = "viewfinder.callbacks"
_WAITING = 1000
_CLOSE_S = 5.0
_FAILURES = (Exception, SystemExit)  # a plug-in does not end the server

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CompletedPrediction:
    """What a callback is told: never the photo itself.

    Attributes:
        prediction: The answer, with its id.
        image_bytes: The size of the photo's file.
        image_sha256: 64 hexadecimal digits of it; None where the result cache is off.
    """

    prediction: Prediction
    image_bytes: int
    image_sha256: str | None


class PredictionCallback(Protocol):
    """A plug-in, made once a process without arguments, and called on a thread of its own."""

    def on_prediction_complete(self, event: CompletedPrediction) -> None:
        """Hear of a prediction that has been answered."""


class _Listener:
    """One callback with its thread, and a bounded queue before it."""

    def __init__(self, name: str, callback: PredictionCallback) -> None:
        self.name = name
        self.dropped = 0
        self.failed = 0
        self._callback = callback
        self._log = Seldom()
        self._waiting: queue.Queue[tuple[CompletedPrediction, Span | None] | None]
        self._waiting = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._run, name=f"callback-{name}", daemon=True)
        self._thread.start()

    def tell(self, event: CompletedPrediction) -> None:
        try:
            self._waiting.put_nowait((event, current()))
        except queue.Full:
            self.dropped += 1
            if self._log.may_speak():
                logger.warning(
                    "the callback %s is too slow; it has missed %d predictions",
                    self.name,
                    self.dropped,
                )

    def close(self, last: float) -> None:
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=max(0.0, last - time.monotonic()))
        self._thread.join(max(0.0, last - time.monotonic()))

    def _run(self) -> None:
        while (told := self._waiting.get()) is not None:
            event, around = told
            try:
                with span("callback", {"viewfinder.plugin": self.name}, parent=around):
                    self._callback.on_prediction_complete(event)
            except _FAILURES:
                self.failed += 1
                if self._log.may_speak():
                    logger.exception("the callback %s has failed %d times", self.name, self.failed)


class Callbacks:
    """Tells every plug-in of every prediction.

    Args:
        callbacks: By name.
    """

    def __init__(self, callbacks: Iterable[tuple[str, PredictionCallback]] = ()) -> None:
        self._listeners = [_Listener(name, callback) for name, callback in callbacks]

    def __bool__(self) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners)

    @property
    def standing(self) -> dict[str, tuple[int, int]]:
        """How many predictions each plug-in has missed, and how many it has failed at."""
        return {each.name: (each.dropped, each.failed) for each in self._listeners}

    def tell(self, event: CompletedPrediction) -> None:
        """Hand over an event; returns at once."""
        for listener in self._listeners:
            listener.tell(event)

    def close(self) -> None:
        """Let them hear what waits, for a few seconds at most. Blocks."""
        last = time.monotonic() + _CLOSE_S
        for listener in self._listeners:
            listener.close(last)


def find_callbacks() -> list[tuple[str, PredictionCallback]]:
    """The plug-ins of the installed packages; one that cannot be made is left out, and logged."""
    found: list[tuple[str, PredictionCallback]] = []
    for point in metadata.entry_points(group=GROUP):
        try:
            found.append((point.name, point.load()()))
        except _FAILURES:
            logger.exception("the callback %s cannot be used", point.name)
        else:
            logger.info("the callback %s hears of every prediction", point.name)
    return found
