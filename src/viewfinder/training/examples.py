"""Photos to learn from: decoded once, read from the disk as they are needed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARGIN = 32
"""Pixels by which photos are kept larger than a model's input, so that a crop can move."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Some of the photos of a data set.

    Attributes:
        pixels: All photos, uint8 `[M, S + 32, S + 32, 3]`.
        rows: Which of them are meant, int64 `[N]`.
        targets: The index of each one's class, int64 `[N]`.
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def side(self) -> int:
        """Height and width of the model's input."""
        return int(self.pixels.shape[1]) - MARGIN

    def whole(self, chosen: slice | Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Photos with their margin, uint8 `[n, S + 32, S + 32, 3]`."""
        return np.stack([self.pixels[row] for row in self.rows[chosen]])

    def centre(self, chosen: slice | Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Photos without their margin, uint8 `[n, S, S, 3]`.

        They are what serving decodes, to within a grey level or two: Pillow, which rounds between
        rows and columns, now and then takes the one first for the larger size and the other for
        the smaller. What a model scores is always measured on what serving itself decodes.
        """
        half = MARGIN // 2
        return np.ascontiguousarray(self.whole(chosen)[:, half:-half, half:-half])
