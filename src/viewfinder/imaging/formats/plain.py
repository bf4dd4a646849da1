"""What a look at a file's bytes gives."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plain:
    """An image file that a decoder may be given.

    Attributes:
        data: The file, without what its pixels do not need where that could cost anything.
        size: Width and height that its header announces, in pixels.
        orientation: As EXIF says, 1-8; 1 is upright.
    """

    data: bytes
    size: tuple[int, int]
    orientation: int = 1
