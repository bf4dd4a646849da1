"""What every engine is, and how its scores become confidence."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """What the scheduler needs to know.

    Attributes:
        max_useful_batch: Images in one call beyond which nothing is gained; 1 on a CPU.
        instances: Calls that run side by side without waiting for each other.
        device: `cpu` or `gpu`.
    """

    max_useful_batch: int
    instances: int
    device: str


class Engine(Protocol):
    """A loaded graph. Safe to call from several threads."""

    @property
    def traits(self) -> EngineTraits:
        """What this engine is good at."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""

    @property
    def classes(self) -> int:
        """Numbers in one image's scores."""

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores for images.

        Args:
            batch: uint8 `[N, height, width, 3]`, 0-255.

        Returns:
            float32 `[N, classes]`: what the graph gives, logits as a rule.
        """

    def close(self) -> None:
        """Give the memory back. The engine must not be called again."""


class EngineModule(Protocol):
    """What each engine's file offers the loader."""

    def load(self, path: Path, *, threads: int) -> Engine:
        """Load a graph.

        Args:
            path: The file, its checksum verified.
            threads: Calls to be ready for side by side.

        Raises:
            BundleError: The file is not a graph that this engine can run.
        """


def to_confidence(
    scores: NDArray[np.float32], *, output: str, temperature: float
) -> NDArray[np.float32]:
    """Turn scores into confidence: the one place where temperature and softmax are applied.

    Args:
        scores: float32 `[C]`.
        output: `logits`, or `probabilities` for foreign graphs that end in a softmax.
        temperature: Logits are divided by it; above 1 makes the answer humbler.

    Returns:
        float32 `[C]`, 0-1, sum 1.
    """
    if output == "probabilities":
        logits = np.log(np.maximum(scores, np.finfo(np.float32).tiny))
    else:
        logits = scores
    logits = logits / np.float32(temperature)
    exponentials = np.exp(logits - logits.max())
    confidence: NDArray[np.float32] = exponentials / exponentials.sum()
    return confidence
