"""WebP: the size of its canvas and its orientation; libwebp copes with the rest."""

import struct
from typing import Final

from viewfinder.errors import InvalidImageError
from viewfinder.imaging.formats.exif import orientation
from viewfinder.imaging.formats.plain import Plain

_FIRST: Final = 12
_HEAD = struct.Struct("<4sI")
_SIDE = 0x3FFF
_HAS_EXIF = 0x08
_MOST_CHUNKS = 100_000


def plain(data: bytes) -> Plain:
    """Read the header, so that no canvas is made before its size is known to be within limits.

    Raises:
        InvalidImageError: There is none.
    """
    kind, start = data[_FIRST : _FIRST + 4], _FIRST + _HEAD.size

    def number(place: int, length: int) -> int:
        return int.from_bytes(data[start + place : start + place + length], "little")

    if kind == b"VP8X":
        turn = orientation(_exif(data)) if number(0, 1) & _HAS_EXIF else 1
        return Plain(data, (number(4, 3) + 1, number(7, 3) + 1), turn)
    if kind == b"VP8L":
        return Plain(data, ((number(1, 4) & _SIDE) + 1, (number(1, 4) >> 14 & _SIDE) + 1))
    if kind == b"VP8 ":
        return Plain(data, (number(6, 2) & _SIDE, number(8, 2) & _SIDE))
    raise InvalidImageError("The WebP image has no header.")


def _exif(data: bytes) -> bytes:
    """The EXIF block; of a flood of chunks, only the first are looked at."""
    place = _FIRST
    for _ in range(_MOST_CHUNKS):
        if place + _HEAD.size > len(data):
            break
        kind, length = _HEAD.unpack_from(data, place)
        place += _HEAD.size
        if kind == b"EXIF":
            return data[place : place + length]
        place += length + length % 2
    return b""
