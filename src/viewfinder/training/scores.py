"""What a validation says in two numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Validation:
    """How well photos are told that were not learned from.

    Attributes:
        loss: Negative log likelihood, a mean over the photos.
        accuracy: 0-1.
    """

    loss: float
    accuracy: float


def validate(logits: NDArray[np.float32], targets: NDArray[np.int64]) -> Validation:
    """Judge logits, float `[N, C]`, by the true classes, int64 `[N]`; N is at least 1."""
    wide = logits.astype(np.float64)
    top = wide.max(axis=1)
    normaliser = top + np.log(np.exp(wide - top[:, np.newaxis]).sum(axis=1))
    loss = normaliser - wide[np.arange(len(wide)), targets]
    return Validation(float(loss.mean()), float((wide.argmax(axis=1) == targets).mean()))
