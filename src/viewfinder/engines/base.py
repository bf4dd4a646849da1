"""What every engine is, and how its scores become confidence."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from viewfinder.registry.manifest import Scaling

Device = Literal["cpu", "cuda", "tensorrt"]


@dataclass(frozen=True, slots=True)
class EngineTraits:
    """What the scheduler needs to know.

    Attributes:
        max_useful_batch: Images in one call beyond which nothing is gained; 1 on a CPU.
        instances: Calls that run side by side without waiting for each other.
        device: `cpu` or `gpu`. The models of a device share one queue.
    """

    max_useful_batch: int
    instances: int
    device: Literal["cpu", "gpu"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What an engine is told when it loads a graph.

    Attributes:
        threads: Calls to be ready for side by side.
        scaling: What a foreign graph wants done to its pixels.
        device: Where to run, for engines that have the choice.
        cache: A folder for what the engine compiles; None keeps nothing.
        device_batch: Images in one call on a device, where the graph leaves that open.
    """

    threads: int
    scaling: Scaling | None = None
    device: Device = "cpu"
    cache: Path | None = None
    device_batch: int = 32


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
        """Give the memory back, as soon as the last call has ended; no other may begin."""


class FeatureEngine(Engine, Protocol):
    """An engine whose graph may give its last feature map too, from which heat maps are drawn."""

    @property
    def feature_shape(self) -> tuple[int, int, int] | None:
        """Height, width and channels of one image's map; None where the graph gives none."""

    def features(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The feature maps of images; to be asked for only where there is a shape.

        Args:
            batch: uint8 `[N, height, width, 3]`, 0-255.

        Returns:
            float32 `[N, *feature_shape]`.
        """


class EngineModule(Protocol):
    """What each engine's file offers the loader."""

    def load(self, path: Path, options: EngineOptions) -> Engine:
        """Load a graph.

        Args:
            path: The file, its checksum verified; its assets lie beside it.
            options: How.

        Raises:
            BundleError: The file is not a graph that this engine can run.
        """


def to_confidence(
    scores: NDArray[np.float32], *, output: str, temperature: float
) -> NDArray[np.float32]:
    """Turn scores into confidence: the one place where temperature and softmax are applied.

    Args:
        scores: float32 `[..., C]`.
        output: `logits`, or `probabilities` for foreign graphs that end in a softmax.
        temperature: Logits are divided by it; above 1 makes the answer humbler.

    Returns:
        float32 `[..., C]`, 0-1, sum 1.
    """
    logits = to_logits(scores, output=output) / np.float32(temperature)
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    confidence: NDArray[np.float32] = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return confidence


def to_logits(scores: NDArray[np.float32], *, output: str) -> NDArray[np.float32]:
    """What a softmax turns into the graph's probabilities, whether or not it has its own.

    Args:
        scores: float32, of any shape.
        output: `logits` or `probabilities`.
    """
    if output == "probabilities":
        logits: NDArray[np.float32] = np.log(np.maximum(scores, np.finfo(np.float32).tiny))
        return logits
    return scores
