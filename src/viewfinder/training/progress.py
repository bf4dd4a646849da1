"""What training tells of itself while it runs."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from viewfinder.errors import TrainingStoppedError

logger = logging.getLogger(__name__)

Phase = Literal[
    "model",
    "photos",
    "features",
    "head",
    "fine-tuning",
    "pruning",
    "distilling",
    "converting",
    "evaluating",
    "timing",
    "testing",
]
TUNING: frozenset[Phase] = frozenset({"fine-tuning", "pruning", "distilling"})
"""The phases that put their state aside when they are asked to stop, and then stop by themselves.

They take long, and are told about epoch by epoch.
"""


@dataclass(frozen=True, slots=True)
class Epoch:
    """How things stand after an epoch.

    Attributes:
        phase: `head`, or one of `TUNING`.
        number: From 1 on, within the phase.
        loss: Mean over the epoch's photos, as it was minimised.
        accuracy: Of the photos learned from, as they were shown, 0-1.
        validation_loss: Negative log likelihood of the validation photos; None if there are none.
        validation_accuracy: Of the validation photos, 0-1; None if there are none.
        learning_rate: At the end of the epoch.
    """

    phase: Phase
    number: int
    loss: float
    accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float


class Listener(Protocol):
    """Hears how training goes, in the thread that trains."""

    def phase(self, name: Phase, total: int) -> None:
        """A phase begins, of so many steps (0 where nobody knows)."""

    def step(self, done: int) -> None:
        """So many steps of the phase are done."""

    def epoch(self, epoch: Epoch) -> None:
        """An epoch has ended."""

    def note(self, text: str) -> None:
        """Something that the person should know, in one sentence."""


class Logged:
    """A listener that writes phases, epochs and notes to the log."""

    def phase(self, name: Phase, total: int) -> None:
        """See `Listener`."""
        logger.info("%s, %d steps", name, total)

    def step(self, done: int) -> None:
        """See `Listener`."""

    def epoch(self, epoch: Epoch) -> None:
        """See `Listener`."""
        logger.info("%s", epoch)

    def note(self, text: str) -> None:
        """See `Listener`."""
        logger.warning("%s", text)


class Attentive:
    """Passes on what it hears, and ends the work if somebody has asked for it.

    Args:
        listener: Hears everything too.
        should_stop: Asked at every phase and step but those of the phases that stop by themselves;
            True raises `TrainingStoppedError`.
    """

    def __init__(self, listener: Listener, should_stop: Callable[[], bool]) -> None:
        self._listener = listener
        self._should_stop = should_stop
        self._stops_itself = False

    def phase(self, name: Phase, total: int) -> None:
        """See `Listener`."""
        self._stops_itself = name in TUNING
        self._stop_if_asked()
        self._listener.phase(name, total)

    def step(self, done: int) -> None:
        """See `Listener`."""
        self._stop_if_asked()
        self._listener.step(done)

    def epoch(self, epoch: Epoch) -> None:
        """See `Listener`."""
        self._listener.epoch(epoch)

    def note(self, text: str) -> None:
        """See `Listener`."""
        self._listener.note(text)

    def _stop_if_asked(self) -> None:
        if self._should_stop() and not self._stops_itself:
            raise TrainingStoppedError
