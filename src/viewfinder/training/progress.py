"""What training tells of itself while it runs."""

import logging
from dataclasses import dataclass
from typing import Literal, Protocol

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


@dataclass(frozen=True, slots=True)
class Epoch:
    """How things stand after an epoch.

    Attributes:
        phase: `head` or `fine-tuning`.
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
