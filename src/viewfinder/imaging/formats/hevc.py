"""HEVC (ITU-T H.265) as far as to tell what a coded picture will cost."""

from collections.abc import Iterator

from viewfinder.imaging.formats.boxes import Fields, bounded, unusual

_MOST_UNITS = 700  # a picture's slices are 600 at most (A.4.1)
# Types of units (7.4.2.2): slices; those of pictures that need no other; the one with the size.
_SLICES, _INTRA, _SEQUENCE = range(32), range(16, 22), 33
_HEADER = 2
_SEPARABLE = 3  # the chroma format whose planes may be coded apart
_PROFILE, _LEVEL = 88, 8  # bits


def largest_picture(configuration: bytes, data: bytes) -> tuple[int, int]:
    """The largest width and height that an item's one picture may be coded in.

    Args:
        configuration: The content of `hvcC` (ISO/IEC 14496-15, 8.3.2).
        data: Units, each after its length.

    Raises:
        InvalidImageError: It is cut short, or holds more than one picture that stands alone.
    """
    sizes, pictures = [(0, 0)], 0
    for unit in _all_units(configuration, data):
        kind = unit[0] >> 1 & 63
        if kind in _SLICES:
            pictures += unit[_HEADER] >> 7
            if kind not in _INTRA or pictures > 1:
                raise unusual()
        elif kind == _SEQUENCE:
            sizes.append(_coded_size(bytes(unit)))
    return max(width for width, _ in sizes), max(height for _, height in sizes)


def _all_units(configuration: bytes, data: bytes) -> Iterator[memoryview]:
    fields = Fields(memoryview(configuration)[21:])
    of_length = (fields.number(1) & 3) + 1
    for _ in range(fields.number(1)):
        fields.number(1)
        for _ in range(bounded(fields.number(2), _MOST_UNITS)):
            yield fields.take(fields.number(2))
    fields = Fields(memoryview(data))
    for _ in range(_MOST_UNITS):
        if not fields.rest():
            return
        yield fields.take(fields.number(of_length))
    raise unusual()


def _coded_size(unit: bytes) -> tuple[int, int]:
    """Width and height of a sequence parameter set (7.3.2.2), before it is cropped."""
    bits = _Bits(unit[_HEADER:].replace(b"\0\0\3", b"\0\0"))
    bits.number(4)
    layers = bits.number(3)
    bits.number(1 + _PROFILE + _LEVEL)
    present = [(bits.number(1), bits.number(1)) for _ in range(layers)]
    bits.number(2 * (8 - layers) if layers else 0)
    for has_profile, has_level in present:
        bits.number(_PROFILE * has_profile + _LEVEL * has_level)
    bits.golomb()
    if bits.golomb() == _SEPARABLE:
        bits.number(1)
    return bits.golomb(), bits.golomb()


class _Bits:
    """Bits from the most significant on; after the last there are only zeros."""

    def __init__(self, data: bytes) -> None:
        data = data[:128]  # the sizes come long before that
        self._bits = int.from_bytes(data)
        self._left = 8 * len(data)

    def number(self, length: int) -> int:
        self._left -= length
        found = self._bits >> self._left if self._left >= 0 else 0
        return found & (1 << length) - 1

    def golomb(self) -> int:
        """A number of as many bits as zeros stand before it (9.2)."""
        zeros = 0
        while not self.number(1):
            zeros = bounded(zeros + 1, 31)
        return (1 << zeros) - 1 + self.number(zeros)
