"""HEIC: one still picture, its tiles and its transparency, in a file that is written anew.

libheif, which is written in C++, sees no structure that a stranger wrote, and no coded picture
that is larger than the header said.
"""

import importlib
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from io import BytesIO
from typing import Any, Final

from PIL import Image

from viewfinder.errors import UnsupportedMediaTypeError
from viewfinder.imaging.formats.boxes import bounded, damaged, unusual
from viewfinder.imaging.formats.hevc import largest_picture
from viewfinder.imaging.formats.isobmff import MOST_ITEMS, Container, Item, Property, Reference
from viewfinder.imaging.formats.isobmff_writing import write
from viewfinder.imaging.formats.plain import Plain

EXTRA: Final = "heif"
# Apple writes heic, cameras with 10 bits heix, some phones mif1. The others are of bursts, which
# have a still picture too. AVIF has brands of its own.
_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"mif1", b"msf1"}

_PICTURE, _GRID = b"hvc1", b"grid"
_SIZE, _CODING, _KIND_OF_PART, _COLOURS = b"ispe", b"hvcC", b"auxC", b"colr"
_KEPT = {_SIZE, _CODING, _KIND_OF_PART, _COLOURS, b"pixi", b"irot", b"imir", b"clap"}
_COLOUR_NUMBERS = b"nclx"  # how to make RGB of what is coded; a profile is not looked at
_TILES, _PART, _PREMULTIPLIED = b"dimg", b"auxl", b"prem"
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1")

# By how much a tile may be larger than what it is a tile of, and a coded picture than what of it
# is shown: encoders fill up to 64 or 512 pixels.
_TILE_MARGIN, _CODED_MARGIN = 1024, 256


def is_heif(data: bytes) -> bool:
    """Whether the first 12 bytes announce a picture in HEVC, or a container that may hold one."""
    return data[4:8] == b"ftyp" and data[8:12] in _BRANDS


def is_installed() -> bool:
    """Whether the extra is; what it brings is imported for that."""
    try:
        _library()
    except ModuleNotFoundError:
        return False
    return True


@cache
def _library() -> Any:
    """Imported when the first such photo comes, and not made known to all who use Pillow."""
    library = importlib.import_module("pi_heif")
    library.options.DECODE_THREADS = 0  # a photo has the thread that it came on
    return library


def open_image(data: bytes) -> Image.Image:
    """What `plain` made, its header read; decoded, turned, mirrored and cropped when it is loaded.

    Raises:
        SyntaxError: It is damaged.
    """
    image: Image.Image = _library().HeifImageFile(BytesIO(data))
    return image


def plain(data: bytes) -> Plain:
    """Keep the picture that is to be shown: no profile, EXIF, thumbnail, depth map, film or other.

    What EXIF says of turning does not count: the container says it too, and libheif does it.

    Raises:
        UnsupportedMediaTypeError: The extra is not installed, or the picture is not HEVC.
        InvalidImageError: It has no still picture, is damaged, or built as no encoder builds it.
    """
    if not is_installed():
        raise UnsupportedMediaTypeError(
            "HEIC photos are not switched on here: send a JPEG, or install the extra heif."
        )
    container = Container.read(data)
    primary = _whole(container, container.primary)
    size = _size(primary[0])
    alpha, said = _alpha(container, primary[0].number, size)
    items = [*primary, *alpha]
    bounded(len(items), MOST_ITEMS)
    return Plain(write(items, [*_tiled(primary), *_tiled(alpha), *said]), size)


def _alpha(
    container: Container, primary: int, size: tuple[int, int]
) -> tuple[list[Item], list[Reference]]:
    """The picture of the transparency, if there is one, and what ties it to the other."""
    for said in container.references:
        if said.kind != _PART or primary not in said.to:
            continue
        if not _is_alpha(container.properties_of(said.of)):
            continue
        alpha = _whole(container, said.of)
        if any(side > most for side, most in zip(_size(alpha[0]), size, strict=True)):
            raise unusual()
        multiplied = Reference(_PREMULTIPLIED, primary, (said.of,))
        also = [multiplied] if multiplied in container.references else []
        return alpha, [Reference(_PART, said.of, (primary,)), *also]
    return [], []


def _whole(container: Container, number: int) -> list[Item]:
    """A picture and the tiles that it is put together of.

    Raises:
        InvalidImageError: One costs more than the picture's size announces.
        UnsupportedMediaTypeError: They are not HEVC.
    """
    picture = _checked(container.item(number))
    if picture.kind == _PICTURE:
        return [picture]
    if picture.kind != _GRID:
        raise UnsupportedMediaTypeError("The HEIC image is not coded in HEVC.")
    found = [r.to for r in container.references if (r.kind, r.of) == (_TILES, number)]
    rows, columns = _grid(picture)
    count = bounded(rows * columns, MOST_ITEMS)
    if len(found) != 1 or not len(found[0]) == len(set(found[0])) == count:
        raise unusual()
    tiles = [_checked(container.item(tile)) for tile in found[0]]
    if any(tile.kind != _PICTURE for tile in tiles):
        raise UnsupportedMediaTypeError("The HEIC image is not coded in HEVC.")
    if len({_size(tile) for tile in tiles}) != 1:
        raise unusual()
    # No tile lies outside, and none is much larger than what is seen of it.
    for fill, side, whole in zip((columns, rows), _size(tiles[0]), _size(picture), strict=True):
        if not (fill - 1) * side < whole <= fill * side or side > whole + _TILE_MARGIN:
            raise unusual()
    return [picture, *tiles]


def _grid(picture: Item) -> tuple[int, int]:
    """Rows and columns (ISO/IEC 23008-12, 6.6.2.3.2)."""
    _, flags, rows, columns = struct.unpack_from(">4B", picture.data)
    if struct.unpack_from(">II" if flags & 1 else ">HH", picture.data, 4) != _size(picture):
        raise unusual()
    return rows + 1, columns + 1


def _checked(item: Item) -> Item:
    """The item with what is kept of its properties, if it costs no more than its size announces."""
    kept = []
    for found in item.properties:
        if found.kind in _KEPT and (found.kind != _COLOURS or found.body[:4] == _COLOUR_NUMBERS):
            kept.append(found)
        elif found.is_essential and found.kind != _COLOURS:
            raise unusual()
    # Each turn is a pass over all pixels: none comes twice.
    if any(count > 1 for count in Counter(found.kind for found in kept).values()):
        raise unusual()
    item = Item(item.number, item.kind, item.data, tuple(kept))
    if item.kind == _PICTURE:
        coded = largest_picture(_property(item, _CODING), item.data)
        if any(c > s + _CODED_MARGIN for c, s in zip(coded, _size(item), strict=True)):
            raise unusual()
    return item


def _size(item: Item) -> tuple[int, int]:
    """Width and height, before it is turned and cropped."""
    width, height = struct.unpack(">4xII", _property(item, _SIZE))
    return width, height


def _property(item: Item, kind: bytes) -> bytes:
    found = next((found.body for found in item.properties if found.kind == kind), None)
    if found is None:
        raise damaged()
    return found


def _is_alpha(properties: Iterable[Property]) -> bool:
    return any(p.kind == _KIND_OF_PART and p.body[4:].startswith(_ALPHA) for p in properties)


def _tiled(whole: Sequence[Item]) -> list[Reference]:
    tiles = tuple(item.number for item in whole[1:])
    return [Reference(_TILES, whole[0].number, tiles)] if tiles else []
