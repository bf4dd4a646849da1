"""A deterministic engine for tests and load tests: its answer is the mean colour, its time is set.

Its graph is a JSON file: `{"height": 8, "width": 8, "classes": 16, "milliseconds": 0}`. Brightness
0-255 is cut into as many equal steps as there are classes; the step the image lies in scores 10,
every other 0. It can pose as a device that likes batches (`max_useful_batch`, `device`), and fails
a call that holds an image of the brightness `poison`. Its feature map has a channel for each step,
1 at the pixels that lie in it.
"""

import math
import time
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from viewfinder.engines.base import EngineOptions, EngineTraits
from viewfinder.errors import BundleError

_SCORE = 10.0


class FakeGraph(BaseModel):
    """What the JSON file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(8, ge=1, le=4096)
    width: int = Field(8, ge=1, le=4096)
    classes: int = Field(16, ge=1, le=256)
    milliseconds: float = Field(0.0, ge=0, le=60_000)
    max_useful_batch: int = Field(1, ge=1, le=1024)
    device: Literal["cpu", "gpu"] = "cpu"
    poison: int | None = Field(None, ge=0, le=255)


class FakeEngine:
    """See the module."""

    def __init__(self, graph: FakeGraph, options: EngineOptions) -> None:
        self.input_shape = (graph.height, graph.width, 3)
        self.classes = graph.classes
        self.feature_shape = (graph.height, graph.width, graph.classes)
        self.traits = EngineTraits(graph.max_useful_batch, options.threads, graph.device)
        self._seconds = graph.milliseconds / 1000
        self._poison = graph.poison

    @classmethod
    def read(cls, path: Path, options: EngineOptions) -> Self:
        """Read the JSON file.

        Raises:
            BundleError: It is not one.
        """
        try:
            graph = FakeGraph.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise BundleError(f"{path.name} is not a graph of the fake engine") from error
        return cls(graph, options)

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores by brightness: see `Engine.predict`."""
        if self._seconds:
            # A device that likes batches takes no longer for a full one.
            time.sleep(self._seconds * math.ceil(len(batch) / self.traits.max_useful_batch))
        brightness = batch.reshape(len(batch), -1).mean(axis=1)
        if self._poison is not None and (brightness.astype(int) == self._poison).any():
            raise ValueError("an image is poison")
        scores = np.zeros((len(batch), self.classes), np.float32)
        scores[np.arange(len(batch)), (brightness * self.classes / 256).astype(int)] = _SCORE
        return scores

    def features(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Which step each pixel lies in: see `FeatureEngine.features`."""
        steps = (batch.mean(axis=3) * self.classes / 256).astype(int)
        maps: NDArray[np.float32] = np.eye(self.classes, dtype=np.float32)[steps]
        return maps

    def close(self) -> None:
        """Nothing to give back."""


def load(path: Path, options: EngineOptions) -> FakeEngine:
    """Load a fake graph: see `EngineModule.load`."""
    return FakeEngine.read(path, options)
