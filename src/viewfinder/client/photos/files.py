"""Photos to the bytes that are sent."""

import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from viewfinder.client.photos.forms import FilePart, Source
from viewfinder.types import Photo


def to_bytes(photo: Photo, resize: int | None) -> bytes:
    """The file of a photo. It may wait for a disk, and for a decoder.

    Args:
        photo: See `Photo`. Files and bytes go as they are, what somebody has decoded as PNG.
        resize: Pixels of the shorter side beyond which it is made smaller; see `shrinking`.

    Raises:
        OSError: A file cannot be read.
        ViewfinderError: An image cannot be sent.
        TypeError: It is none of the kinds of `Photo`.
        ValueError: An array is not uint8 `[H, W, 3]`.
    """
    if isinstance(photo, str | Path):
        photo = Path(photo).read_bytes()
    if isinstance(photo, bytes) and resize is None:
        return photo
    if not isinstance(photo, bytes) and not is_decoded(photo):
        raise TypeError(f"a photo is a path, bytes, an image or an array, not {type(photo)}")
    # Pillow and NumPy, where there is something to do for them.
    from viewfinder.client.photos import shrinking

    if isinstance(photo, bytes):
        return photo if resize is None else shrinking.shrink(photo, resize)
    return shrinking.encode(photo, resize)


def is_decoded(photo: Any) -> bool:
    """Whether this is an image of Pillow's, or an array: nobody can have one without them."""
    kinds = (("PIL.Image", "Image"), ("numpy", "ndarray"))
    return any(
        isinstance(photo, getattr(sys.modules[home], kind))
        for home, kind in kinds
        if home in sys.modules
    )


def to_parts(photos: Iterable[Photo], resize: int | None) -> list[FilePart]:
    """Photos as the files of a form, which are read when their turn comes."""
    return [
        FilePart("files", _name(photo, index), _source(photo, resize))
        for index, photo in enumerate(photos)
    ]


def to_archive(archive: str | Path | bytes) -> list[FilePart]:
    """A zip as the file of a form."""
    source: Source = (lambda: archive) if isinstance(archive, bytes) else Path(archive)
    name = "photos.zip" if isinstance(archive, bytes) else Path(archive).name
    return [FilePart("archive", name, source)]


def _name(photo: Photo, index: int) -> str:
    return Path(photo).name if isinstance(photo, str | Path) else str(index)


def _source(photo: Photo, resize: int | None) -> Source:
    if isinstance(photo, str | Path) and resize is None:
        return Path(photo)
    return partial(to_bytes, photo, resize)
