"""Photos from the disk, several at a time, without ever having many of them in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from viewfinder.datasets.photos import Photo
from viewfinder.errors import (
    InvalidImageError,
    MalformedRequestError,
    PayloadTooLargeError,
    RequestError,
)
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


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
    if not data:
        raise MalformedRequestError("The image is empty.")
    if len(data) > most:
        raise PayloadTooLargeError(f"The image is over the limit of {most:,} bytes.")
    return data


def read_pixels(photo: Photo, spec: PreprocessSpec, limits: Limits) -> NDArray[np.uint8] | None:
    """A photo as a graph sees it, uint8 `[height, width, 3]`; None if it can be used no longer."""
    try:
        return preprocess(read_photo(photo.path, limits.image_bytes), spec, limits)
    except RequestError:
        return None


def side_by_side(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, threads: int
) -> Iterator[_Result]:
    """What `work` makes of each item, in their order, worked out on `threads` threads.

    At most two items a thread are in hand, so that results do not pile up. An exception ends it.
    """
    pool = ThreadPoolExecutor(threads, "photos")
    pending: deque[Future[_Result]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(work, item))
            if len(pending) >= 2 * threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
