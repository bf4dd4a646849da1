"""Occlusion: cover one part of the picture after another, and see what the class loses by it.

Zeiler and Fergus, Visualizing and Understanding Convolutional Networks, ECCV 2014. It asks nothing
of a graph but its scores.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.base import to_logits
from viewfinder.registry.manifest import Variant

GRID = 8
"""Rows and columns; fewer where the input has fewer pixels. docs/decisions/0027-heat-maps.md."""

_OVERLAP = 2.0
"""The side of a window, in cells of the grid: neighbours share half of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """A picture with a part to be covered: the copy is made where it is asked about.

    Attributes:
        pixels: uint8 `[H, W, 3]`.
        rows: Of the part.
        columns: Of the part.
    """

    pixels: NDArray[np.uint8]
    rows: slice
    columns: slice

    def picture(self) -> NDArray[np.uint8]:
        """The picture, the part in its mean colour: that makes the weakest edges of its own."""
        mean = self.pixels.mean(axis=(0, 1)).round().astype(np.uint8)
        covered = self.pixels.copy()
        covered[self.rows, self.columns] = mean
        return covered


def grid(pixels: NDArray[np.uint8]) -> tuple[int, int]:
    """How many rows and columns the heat map of a picture `[H, W, 3]` has."""
    return min(GRID, pixels.shape[0]), min(GRID, pixels.shape[1])


def occlusions(pixels: NDArray[np.uint8]) -> list[Covered]:
    """The picture as it is, and then with each place of the grid covered, row by row."""
    height, width = pixels.shape[:2]
    rows, columns = grid(pixels)
    nothing = slice(0, 0)
    places = [
        Covered(pixels, down, across)
        for down in _windows(height, rows)
        for across in _windows(width, columns)
    ]
    return [Covered(pixels, nothing, nothing), *places]


def _windows(length: int, cells: int) -> list[slice]:
    """Along one side: around the middle of each cell, as far as there are pixels."""
    middles = (np.arange(cells) + 0.5) * length / cells
    half = _OVERLAP / 2 * length / cells
    starts = np.maximum(0, (middles - half).round()).astype(int)
    ends = np.minimum(length, (middles + half).round()).astype(int)
    return [slice(start, end) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]


def log_odds(scores: NDArray[np.float32], index: int, variant: Variant) -> NDArray[np.float64]:
    """Of a class against all others: unlike confidence, they still move where that is 0.99999.

    Args:
        scores: float32 `[N, classes]`, as the graph gives them.
        index: The class.
        variant: What the scores are, and their temperature.

    Returns:
        float64 `[N]`; zeros where there is no other class.
    """
    logits = to_logits(scores, output=variant.output).astype(np.float64)
    logits /= variant.calibration.temperature
    others = np.delete(logits, index, axis=1)
    if not others.shape[1]:
        return np.zeros(len(scores))
    difference: NDArray[np.float64] = logits[:, index] - np.logaddexp.reduce(others, axis=1)
    return difference


def losses(odds: NDArray[np.float64], shape: tuple[int, int]) -> NDArray[np.float64]:
    """What the class loses at each place of a grid.

    Args:
        odds: Log-odds of the class, in the order of `occlusions`.
        shape: Of the grid.
    """
    lost: NDArray[np.float64] = (odds[0] - odds[1:]).reshape(shape)
    return lost


def normalised(evidence: NDArray[np.floating]) -> NDArray[np.float64]:
    """Evidence to 0-1: none, and what speaks against the class, is 0; the most is 1."""
    positive = np.maximum(evidence.astype(np.float64), 0)
    most = positive.max()
    heat: NDArray[np.float64] = positive / most if most > 0 else np.zeros_like(positive)
    return heat
