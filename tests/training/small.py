"""A model so small that a test can train it, and photos that it can tell apart."""

from typing import Any

import numpy as np

from viewfinder.training.examples import MARGIN, Examples
from viewfinder.training.progress import Epoch, Phase

SIDE, CLASSES = 16, 3


def photos(count: int, seed: int) -> Examples:
    """Noise in which one colour is stronger: which, is the class."""
    chance = np.random.default_rng(seed)
    targets = np.arange(count, dtype=np.int64) % CLASSES
    pixels = chance.integers(0, 180, (count, SIDE + MARGIN, SIDE + MARGIN, 3), np.uint8)
    for photo, target in zip(pixels, targets, strict=True):
        photo[:, :, target] += 40
    return Examples(pixels, np.arange(count), targets)


def model() -> Any:
    """uint8 `[N, 16, 16, 3]` to logits, with the layers that training looks for."""
    import keras

    image = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    x = keras.ops.cast(image, "float32") / 255
    x = keras.layers.Conv2D(4, 3, strides=2, name="lower")(x)
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="upper")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(image, keras.layers.Dense(CLASSES, name="logits")(x))


class Notes:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.phases: list[tuple[Phase, int]] = []
        self.steps: list[int] = []
        self.epochs: list[Epoch] = []
        self.notes: list[str] = []

    def phase(self, name: Phase, total: int) -> None:
        self.phases.append((name, total))

    def step(self, done: int) -> None:
        self.steps.append(done)

    def epoch(self, epoch: Epoch) -> None:
        self.epochs.append(epoch)

    def note(self, text: str) -> None:
        self.notes.append(text)
