"""The whole way from bytes to a model's input. Training, evaluation and serving all come here."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.imaging.decode import as_decoded, decode
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


def preprocess_image(image: Image.Image, spec: PreprocessSpec, limits: Limits) -> NDArray[np.uint8]:
    """Bring an image that somebody has decoded into the model's shape.

    Args:
        image: Of any mode; turned as its EXIF block says.
        spec: The model's geometry.
        limits: As large as it may be.

    Returns:
        uint8 `[height, width, 3]`, 0-255.

    Raises:
        ImageTooLargeError: Over a limit.
        InvalidImageError: Its pixels are still in a file, which is damaged.
    """
    return to_input(as_decoded(image, limits=limits, enough=spec.enough), spec)
