"""A deterministic engine for tests and load tests: its answer is the mean colour, its time is set.

Its graph is a JSON file: `{"height": 8, "width": 8, "classes": 16, "milliseconds": 0}`. Brightness
0-255 is cut into as many equal steps as there are classes; the step the image lies in scores 10,
every other 0.
"""

import time
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from viewfinder.engines.base import EngineTraits
from viewfinder.errors import BundleError

_SCORE = 10.0


class FakeGraph(BaseModel):
    """What the JSON file says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(8, ge=1, le=4096)
    width: int = Field(8, ge=1, le=4096)
    classes: int = Field(16, ge=1, le=256)
    milliseconds: float = Field(0.0, ge=0, le=60_000)


class FakeEngine:
    """See the module."""

    def __init__(self, graph: FakeGraph, *, threads: int) -> None:
        self.input_shape = (graph.height, graph.width, 3)
        self.classes = graph.classes
        self.traits = EngineTraits(max_useful_batch=1, instances=threads, device="cpu")
        self._seconds = graph.milliseconds / 1000

    @classmethod
    def read(cls, path: Path, *, threads: int) -> Self:
        """Read the JSON file.

        Raises:
            BundleError: It is not one.
        """
        try:
            graph = FakeGraph.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise BundleError(f"{path.name} is not a graph of the fake engine") from error
        return cls(graph, threads=threads)

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores by brightness: see `Engine.predict`."""
        if self._seconds:
            time.sleep(self._seconds * len(batch))
        brightness = batch.reshape(len(batch), -1).mean(axis=1)
        scores = np.zeros((len(batch), self.classes), np.float32)
        scores[np.arange(len(batch)), (brightness * self.classes / 256).astype(int)] = _SCORE
        return scores

    def close(self) -> None:
        """Nothing to give back."""


def load(path: Path, *, threads: int) -> FakeEngine:
    """Load a fake graph: see `EngineModule.load`."""
    return FakeEngine.read(path, threads=threads)
