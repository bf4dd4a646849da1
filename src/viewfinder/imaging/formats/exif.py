"""The one fact of an EXIF block that changes what a photo shows."""

from typing import Final, Literal

_ORDERS: Final[dict[bytes, Literal["little", "big"]]] = {b"II": "little", b"MM": "big"}
_ORIENTATION = 0x0112
_LENGTHS = {3: 2, 4: 4}  # SHORT, LONG
_ENTRY = 12
_MOST_ENTRIES = 1000


def orientation(block: bytes) -> int:
    """Read the orientation from an EXIF block, 1-8; whatever is broken counts as 1, upright.

    EXIF 2.32, section 4.6. Pillow's reader, which reads all tags for the sake of this one, takes
    140 ms where thousands of them are broken.
    """
    block = block.removeprefix(b"Exif\0\0")
    order = _ORDERS.get(block[:2])
    if order is None:
        return 1

    def number(place: int, length: int) -> int:
        return int.from_bytes(block[place : place + length], order)

    first = number(4, 4) + 2
    last = first + _ENTRY * min(number(first - 2, 2), _MOST_ENTRIES)
    for place in range(first, min(last, len(block)), _ENTRY):
        if number(place, 2) == _ORIENTATION:
            found = number(place + 8, _LENGTHS.get(number(place + 2, 2), 0))
            return found if found in range(1, 9) else 1
    return 1
