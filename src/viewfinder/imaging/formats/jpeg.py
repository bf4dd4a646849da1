"""JPEG: its tables, frame and scans; no profile, comment or thumbnail reaches the decoder."""

import re
import struct
from collections.abc import Iterator
from itertools import islice

from viewfinder.errors import InvalidImageError
from viewfinder.imaging.formats.exif import orientation
from viewfinder.imaging.formats.plain import Plain

# Inside a scan, FF 00 is a byte of data and FF D0-D7 a restart: neither ends it.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_SCAN, _END = 0xDA, 0xD9
_LIKE_A_SCAN = re.compile(rb"\xff\xda")
_EXIF, _COMMENT = 0xE1, 0xFE
_WITHOUT_LENGTH = {0x01, 0xD8, _END}
_ORNAMENTS = {_COMMENT, *range(0xE0, 0xF0)} - {0xE0, 0xEE}  # JFIF and Adobe tell the colours
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Baseline, extended and progressive, by Huffman or arithmetic code: not lossless or hierarchical.
_SEQUENTIAL, _PROGRESSIVE = {0xC0, 0xC1, 0xC9}, {0xC2, 0xCA}

_MOST_SEGMENTS, _MOST_FILL = 2000, 4096
# Encoders write ten scans or so, the most eager a few dozen. Each is a pass over all pixels.
_FEW_SCANS, _MOST_SCANS, _MOST_SCANNED = 20, 100, 1_000_000_000


def plain(data: bytes) -> Plain:
    """Keep what the pixels need, and refuse what is cheap to send and dear to decode.

    What follows the end of the image (another photo, a film, an archive) is not looked at.

    Raises:
        InvalidImageError: It has no frame, one that is not decoded, or too many scans or segments.
    """
    view = memoryview(data)
    kept, turn = [view[:2]], 1
    frame: tuple[int, int] | None = None
    for kind, start, end in _segments(data):
        if kind == _SCAN and frame is not None:
            size = _size(data, frame[1])
            # The one scan of a usual photo ends it: nothing after that is decoded.
            if frame[0] not in _SEQUENTIAL or data[start + 4] < data[frame[1] + 9]:
                _check_scans(data, start, size)
            return Plain(b"".join([*kept, view[start:]]), size, turn)
        if kind in _FRAMES:
            if kind not in _SEQUENTIAL | _PROGRESSIVE:
                raise InvalidImageError("A lossless or hierarchical JPEG cannot be decoded.")
            frame = kind, start
        elif kind == _EXIF and turn == 1:
            turn = orientation(data[start + 4 : end])
        if kind not in _ORNAMENTS:
            kept.append(view[start:end])
    raise InvalidImageError("The JPEG image is damaged and cannot be decoded.")


def _size(data: bytes, frame: int) -> tuple[int, int]:
    height, width = struct.unpack_from(">HH", data, frame + 5)
    return width, height


def _segments(data: bytes, place: int = 2) -> Iterator[tuple[int, int, int]]:
    """Each segment's kind, and where its marker begins and it ends, up to the end of the image."""
    for _ in range(_MOST_SEGMENTS):
        marker = _MARKER.search(data, place)
        if marker is None or marker[1][0] == _END:
            return
        if marker.end() - marker.start() > _MOST_FILL:
            break
        kind, place = marker[1][0], marker.end()
        if kind not in _WITHOUT_LENGTH:
            place += int.from_bytes(data[place : place + 2])
        yield kind, marker.end() - 2, place
    raise _too_many()


def _check_scans(data: bytes, place: int, size: tuple[int, int]) -> None:
    most = _MOST_SCANNED // max(1, size[0] * size[1])
    most = max(_FEW_SCANS, min(most, _MOST_SCANS))
    # Searching through a scan is slow, and the lock is held: where there are few of what could be
    # one, counting those is enough.
    if sum(1 for _ in islice(_LIKE_A_SCAN.finditer(data, place), most + 1)) <= most:
        return
    scans = (kind for kind, _, _ in _segments(data, place) if kind == _SCAN)
    if sum(1 for _ in islice(scans, most + 1)) > most:
        raise _too_many()


def _too_many() -> InvalidImageError:
    return InvalidImageError("The JPEG image has more scans or segments than any encoder writes.")
