"""Curves for TensorBoard."""

from pathlib import Path
from typing import Self

import tensorflow as tf

from viewfinder.training.progress import Epoch, Listener, Phase


class TensorBoardLog:
    """Writes each epoch's numbers, and passes on what it hears.

    Args:
        folder: Of this run: `tensorboard --logdir FOLDER` draws it.
        listener: Hears everything too.
    """

    def __init__(self, folder: Path, listener: Listener) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))
        self._listener = listener

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def phase(self, name: Phase, total: int) -> None:
        """See `Listener`."""
        self._listener.phase(name, total)

    def step(self, done: int) -> None:
        """See `Listener`."""
        self._listener.step(done)

    def note(self, text: str) -> None:
        """See `Listener`."""
        self._listener.note(text)

    def epoch(self, epoch: Epoch) -> None:
        """Write an epoch, and pass it on."""
        numbers = {
            "loss": epoch.loss,
            "accuracy": epoch.accuracy,
            "validation_loss": epoch.validation_loss,
            "validation_accuracy": epoch.validation_accuracy,
            "learning_rate": epoch.learning_rate,
        }
        with self._writer.as_default(step=epoch.number):
            for name, value in numbers.items():
                if value is not None:
                    tf.summary.scalar(f"{epoch.phase}/{name}", value)
        self._writer.flush()
        self._listener.epoch(epoch)
