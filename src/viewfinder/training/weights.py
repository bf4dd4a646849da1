"""How much each photo counts."""

import numpy as np
from numpy.typing import NDArray

_SKEWED = 2.0
_MOST = 4.0


def class_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """The weight of a photo of each class, float32 `[classes]`, 1 on average over the photos.

    Classes that differ by less than two times in size count alike. Otherwise a photo's weight falls
    with the square root of its class's size: the full inverse would make the rare classes as likely
    as the common ones, which costs more accuracy than it brings where photos to come are
    distributed like those learned from.
    """
    counts = np.maximum(np.bincount(targets, minlength=classes), 1)
    if counts.max() < _SKEWED * counts.min():
        return np.ones(classes, np.float32)
    weights = np.minimum((counts.max() / counts) ** 0.5, _MOST)
    normalised: NDArray[np.float32] = (weights / weights[targets].mean()).astype(np.float32)
    return normalised
