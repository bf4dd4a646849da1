"""What somebody has decoded, as an array."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_CHANNELS = 3


def image_of(array: NDArray[Any]) -> Image.Image:
    """The image that an array holds.

    Args:
        array: uint8 `[H, W, 3]`, red first, 0-255, upright.

    Raises:
        ValueError: It has another shape or type.
    """
    if array.dtype != np.uint8 or array.ndim != _CHANNELS or array.shape[2] != _CHANNELS:
        raise ValueError(
            f"an array is to be uint8 [H, W, 3], not {array.dtype} {list(array.shape)}"
        )
    return Image.fromarray(np.ascontiguousarray(array))
