"""The whole way from bytes to a model's input. Training, evaluation and serving all come here."""

import numpy as np
from numpy.typing import NDArray

from viewfinder.imaging.decode import decode
from viewfinder.imaging.geometry import PreprocessSpec, to_input
from viewfinder.settings import Limits


def preprocess(data: bytes, spec: PreprocessSpec, limits: Limits) -> NDArray[np.uint8]:
    """Decode a photo and bring it into the model's shape.

    Args:
        data: The bytes of an image file.
        spec: The model's geometry.
        limits: What will be decoded.

    Returns:
        uint8 `[height, width, 3]`, 0-255.

    Raises:
        UnsupportedMediaTypeError: Not an accepted format.
        ImageTooLargeError: Over a limit.
        InvalidImageError: Damaged.
    """
    return to_input(decode(data, limits=limits, enough=spec.enough), spec)
