"""How good a LiteRT graph is, found out quickly and without leaving the process."""

import contextlib
import tempfile
from pathlib import Path

import numpy as np

from viewfinder.engines.base import EngineOptions
from viewfinder.engines.litert import LiteRTEngine
from viewfinder.training.examples import Examples

_MOST = 300


class Worth:
    """Tells graphs apart by some photos.

    Args:
        examples: The photos; at least one.
        labelled: Whether their targets are known. If not, a graph is worth as much as it answers
            like the first one that was asked about.
    """

    def __init__(self, examples: Examples, *, labelled: bool) -> None:
        chosen = np.linspace(0, len(examples) - 1, min(len(examples), _MOST)).astype(int)
        self._pixels = examples.centre(chosen)
        self._targets = examples.targets[chosen] if labelled else None

    def of(self, graph: bytes) -> float:
        """The share of photos on which it is right, 0-1."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            path.write_bytes(graph)
            with contextlib.closing(LiteRTEngine(path, EngineOptions(threads=1))) as engine:
                answers = np.concatenate(
                    [engine.predict(photo[np.newaxis]).argmax(axis=1) for photo in self._pixels]
                )
        if self._targets is None:
            self._targets = answers
        return float((answers == self._targets).mean())
