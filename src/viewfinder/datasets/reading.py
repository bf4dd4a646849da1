"""Photos from the disk."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.datasets.photos import Photo
from viewfinder.errors import InvalidImageError, RequestError
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.length import check_length
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits


def read_photo(path: Path, most: int) -> bytes:
    """The bytes of a photo.

    Args:
        path: The file.
        most: Bytes that a photo may have.

    Raises:
        InvalidImageError: It cannot be read.
        MalformedRequestError: It is empty.
        PayloadTooLargeError: It has more bytes.
    """
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise InvalidImageError("It is not a file.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InvalidImageError("The file cannot be read.") from error
    check_length(data, most)
    return data


def read_pixels(photo: Photo, spec: PreprocessSpec, limits: Limits) -> NDArray[np.uint8] | None:
    """A photo as a graph sees it, uint8 `[height, width, 3]`; None if it can be used no longer."""
    try:
        return preprocess(read_photo(photo.path, limits.image_bytes), spec, limits)
    except RequestError:
        return None
