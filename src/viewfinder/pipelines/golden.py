"""What a graph answers for its golden photos when it is sealed."""

import numpy as np
from numpy.typing import NDArray

from viewfinder.registry.manifest import ExpectedScore

_CLASSES = 5


def expected(confidence: NDArray[np.float32]) -> tuple[ExpectedScore, ...]:
    """The classes with most confidence, best first, of float32 `[C]`."""
    order = np.argsort(-confidence, kind="stable")[:_CLASSES]
    return tuple(
        ExpectedScore(index=int(index), confidence=min(1.0, float(confidence[index])))
        for index in order
    )
