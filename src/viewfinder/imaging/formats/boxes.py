"""Boxes, of which HEIC files are made (ISO/IEC 14496-12): read within bounds."""

import struct
from collections.abc import Iterator

from viewfinder.errors import InvalidImageError

_MOST_BOXES = 4000


def unusual() -> InvalidImageError:
    """The error of a file that is built as none is."""
    return InvalidImageError("The HEIC image is built as no encoder builds it.")


def damaged() -> InvalidImageError:
    """The error of a file that names what it does not hold."""
    return InvalidImageError("The HEIC image is damaged and cannot be decoded.")


def bounded(count: int, most: int) -> int:
    """The count, if it is no more than that.

    Raises:
        InvalidImageError: It is.
    """
    if count > most:
        raise unusual()
    return count


class Fields:
    """The numbers of a box, one after the other; past its end there are none.

    Attributes:
        flags: Of the box, once its version has been read.
    """

    def __init__(self, body: memoryview) -> None:
        self._body = body
        self._place = 0
        self.flags = 0

    def take(self, length: int) -> memoryview:
        """So many bytes.

        Raises:
            InvalidImageError: There are fewer.
        """
        start, end = self._place, self._place + length
        if end > len(self._body):
            raise damaged()
        self._place = end
        return self._body[start:end]

    def number(self, length: int) -> int:
        """A number of so many bytes, most significant first; none are 0."""
        return int.from_bytes(self.take(length))

    def version(self) -> int:
        """The version that a full box begins with; its flags follow."""
        found, self.flags = self.number(1), self.number(3)
        return found

    def rest(self) -> memoryview:
        """What has not been read."""
        return self._body[self._place :]


def boxes(data: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Each box's kind and content.

    Raises:
        InvalidImageError: One does not end within the data, or there are more than in any file.
    """
    place = 0
    for _ in range(_MOST_BOXES):
        if place == len(data):
            return
        length, kind = struct.unpack_from(">I4s", data, place)
        start = place + 8
        if length == 1:
            (length,) = struct.unpack_from(">Q", data, start)
            start += 8
        end = place + length if length else len(data)
        if not start <= end <= len(data):
            raise damaged()
        yield kind, data[start:end]
        place = end
    raise unusual()
