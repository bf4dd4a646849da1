"""The file with the weights of a head: an array of NumPy's, in the one form that is written here.

NumPy's own reader takes far more than this form, and a header made to hurt ends the process in it.
"""

import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import BundleError

_START = b"\x93NUMPY\x01\x00"  # version 1.0 of the format
_LENGTH_BYTES = 2
_HEADER = re.compile(
    rb"\{'descr': '<f4', 'fortran_order': False, "
    rb"'shape': \(([1-9][0-9]{0,6}), ([1-9][0-9]{0,6})\), \} *\n"
)
_STORED = np.dtype("<f4")


def head_file(weights: NDArray[np.float32]) -> bytes:
    """The file of a head's weights, float32 `[F, classes]`."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(weights, _STORED), allow_pickle=False)
    return file.getvalue()


def read_head(path: Path) -> NDArray[np.float32]:
    """Read the weights of a head, finite float32 `[F, classes]`.

    Raises:
        BundleError: The file is not of the form that `head_file` writes.
    """
    try:
        weights = _read(path)
    except OSError as error:
        raise BundleError(f"{path.name} does not hold the weights of a head") from error
    if weights is None or not np.isfinite(weights).all():
        raise BundleError(f"{path.name} does not hold the weights of a head")
    return weights


def _read(path: Path) -> NDArray[np.float32] | None:
    with path.open("rb") as file:
        if file.read(len(_START)) != _START:
            return None
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        header = _HEADER.fullmatch(file.read(length))
        if header is None:
            return None
        shape = int(header[1]), int(header[2])
        # Before it is read: a file that is not as long as it says is not worth the memory.
        wanted = shape[0] * shape[1] * _STORED.itemsize
        if path.stat().st_size - file.tell() != wanted:
            return None
        content = file.read(wanted)
    if len(content) != wanted:
        return None
    return np.frombuffer(content, _STORED).reshape(shape).astype(np.float32, copy=False)
