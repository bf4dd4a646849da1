"""BMP: its size, and whether its pixels are run-length encoded."""

import struct
from typing import Final

from viewfinder.errors import ImageTooLargeError
from viewfinder.imaging.formats.plain import Plain

_HEADER: Final = 14
_OLDEST = 12
_RUN_LENGTHS = {1, 2}
# Pillow decodes these in Python: half a microsecond a run, a tenth of one a pixel.
_MOST_PIXELS, _MOST_BYTES = 2 * 1024 * 1024, 1024 * 1024


def plain(data: bytes) -> Plain:
    """Read the header.

    Raises:
        ImageTooLargeError: It is run-length encoded, and would take seconds to decode.
    """
    (length,) = struct.unpack_from("<I", data, _HEADER)
    if length == _OLDEST:
        width, height = struct.unpack_from("<HH", data, _HEADER + 4)
        return Plain(data, (width, height))
    width, height, compression = struct.unpack_from("<Ii4xI", data, _HEADER + 4)
    size = width, abs(height)
    too_large = size[0] * size[1] > _MOST_PIXELS or len(data) > _MOST_BYTES
    if compression in _RUN_LENGTHS and too_large:
        raise ImageTooLargeError(
            f"A run-length encoded BMP may have {_MOST_PIXELS:,} pixels and {_MOST_BYTES:,} bytes; "
            "send it as a PNG."
        )
    return Plain(data, size)
