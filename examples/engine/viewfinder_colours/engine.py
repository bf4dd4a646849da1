"""Nearest centroid: a photo is of the class whose mean share of each colour is most like its own.

A graph is an `.npz` with one array: `centroids`, float32 `[classes, 64]`, each row the shares of 64
colours, 0-1.
"""

import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.base import EngineOptions, EngineTraits
from viewfinder.errors import BundleError

SIZE = 64
COLOURS = 4**3
ARRAY = "centroids"
_LARGEST_BYTES = 10_000_000


def shares(batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much of each image, uint8 `[N, H, W, 3]`, has which colour: float32 `[N, 64]`, 0-1."""
    steps = (batch // 64).reshape(len(batch), -1, 3).astype(np.intp)
    colours = steps @ np.array([16, 4, 1])
    counts = [np.bincount(image, minlength=COLOURS) for image in colours]
    return np.array(counts, np.float32) / np.float32(colours.shape[1])


class ColourEngine:
    """See the module. It only reads what it holds, so that any number of threads may call it."""

    def __init__(self, centroids: NDArray[np.float32], options: EngineOptions) -> None:
        """Take float32 `[classes, 64]`."""
        self.input_shape = (SIZE, SIZE, 3)
        self.classes = len(centroids)
        self.traits = EngineTraits(1, options.threads, "cpu")
        self._centroids = centroids

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits, float32 `[N, classes]`: the nearer, the higher, and 0 is the highest."""
        away = np.abs(shares(batch)[:, np.newaxis] - self._centroids).sum(axis=2)
        logits: NDArray[np.float32] = -away
        return logits

    def close(self) -> None:
        """Nothing to give back: the array goes with the last call that uses it."""


def load(path: Path, options: EngineOptions) -> ColourEngine:
    """Read a graph. Nothing in it is run, and what is read is no longer than it may be.

    Raises:
        BundleError: The file is not one.
    """
    try:
        centroids = _read(path)
    except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise BundleError(f"{path.name} is not a graph of the engine colours") from error
    rows = centroids.shape[0] if centroids.shape[1:] == (COLOURS,) else 0
    if not rows or centroids.dtype != np.float32 or not np.isfinite(centroids).all():
        raise BundleError(f"the centroids of {path.name} are not finite float32 [classes, 64]")
    return ColourEngine(centroids, options)


def _read(path: Path) -> NDArray[np.float32]:
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(f"{ARRAY}.npy").file_size > _LARGEST_BYTES:
            raise BundleError(f"{path.name} is larger than this engine takes")
    with np.load(path, allow_pickle=False) as arrays:
        centroids: NDArray[np.float32] = arrays[ARRAY]
    return centroids
