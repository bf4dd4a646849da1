"""GIF: its first frame, without what stands before it."""

import struct
from typing import Final

from viewfinder.errors import InvalidImageError
from viewfinder.imaging.formats.plain import Plain

_SCREEN = struct.Struct("<6xHHBxx")
_FRAME = struct.Struct("<HHHH")
_EXTENSION, _IMAGE, _CONTROL = 0x21, 0x2C, 0xF9
# A colour profile or XMP comes in blocks of 255 bytes, or is read as blocks by chance.
_MOST_BLOCKS: Final = 20_000


def plain(data: bytes) -> Plain:
    """Keep the palette, the transparent colour and the first frame.

    Raises:
        InvalidImageError: There are more blocks before the frame than any encoder writes.
    """
    width, height, flags = _SCREEN.unpack_from(data)
    start = place = _SCREEN.size + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    control = b""
    blocks = 0
    while data[place] != _IMAGE:
        end = place + 1
        if data[place] == _EXTENSION:
            end += 1
            while data[end] and blocks <= _MOST_BLOCKS:
                blocks += 1
                end += 1 + data[end]
            end += 1
            if data[place + 1] == _CONTROL:
                control = data[place:end]
        blocks += 1
        if blocks > _MOST_BLOCKS:
            raise InvalidImageError("The GIF image has more blocks than any encoder writes.")
        place = end
    left, top, across, down = _FRAME.unpack_from(data, place + 1)
    size = max(width, left + across), max(height, top + down)
    return Plain(data[:start] + control + data[place:], size)
