"""PNG: header, palette, transparency and pixels, which are inflated no further than announced."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import Final

from PIL.PngImagePlugin import PngImageFile

from viewfinder.errors import InvalidImageError
from viewfinder.imaging.formats.exif import orientation
from viewfinder.imaging.formats.plain import Plain

_SIGNATURE = 8
_HEAD = struct.Struct(">I4s")
_HEADER = struct.Struct(">I4sIIBBxxB")
_CHECKSUM = 4
_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
# Adam7: where each pass begins, and its steps, across and down.
_PASSES: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_MOST_CHUNKS = 100_000
_MOST_TEXTS, _MOST_TEXT = 1000, 1024 * 1024
# Photoshop writes megabytes of it, which list every layer that was ever pasted.
_XMP, _MOST_XMP = b"XML:com.adobe.xmp\0", 8 * 1024 * 1024
_STORED = 65_535  # the most bytes of a deflate block that is not compressed


def plain(data: bytes) -> Plain:
    """Keep what the first image's pixels need: no profile, text, or frame of an animation.

    Raises:
        InvalidImageError: It does not begin with a header, or has too many chunks or too much text.
    """
    view = memoryview(data)
    kept: dict[bytes, memoryview] = {}
    pixels: list[memoryview] = []
    texts: list[tuple[bytes, memoryview]] = []
    for kind, start, end in _chunks(data):
        if kind == b"IDAT":
            pixels.append(view[start:end])
        elif kind in _TEXTS:
            texts.append((kind, view[start:end]))
        elif kind in {b"IHDR", b"PLTE", b"tRNS"}:
            kept.setdefault(kind, view[start - _HEAD.size : end + _CHECKSUM])
        elif kind == b"eXIf":
            kept.setdefault(kind, view[start:end])
    _check_texts(texts)
    turn = orientation(bytes(kept.pop(b"eXIf", b"")))
    # One chunk of pixels in place of many: the decoder's way from one to the next is slow.
    parts: list[bytes | memoryview] = [data[:_SIGNATURE], *(kept[kind] for kind in sorted(kept))]
    parts += [*_chunk(b"IDAT", pixels), *_chunk(b"IEND", [])]
    length, kind, width, height, *_ = _HEADER.unpack_from(data, _SIGNATURE)
    if (length, kind) != (13, b"IHDR"):
        raise InvalidImageError("The PNG image does not begin with its header.")
    return Plain(b"".join(parts), (width, height), turn)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's kind, and where its content begins and ends, up to the end or to nonsense."""
    place = _SIGNATURE
    for _ in range(_MOST_CHUNKS):
        if place + _HEAD.size > len(data):
            return
        length, kind = _HEAD.unpack_from(data, place)
        if kind == b"IEND" or not kind.isalpha():
            return
        start = place + _HEAD.size
        yield kind, start, start + length
        place = start + length + _CHECKSUM
    raise InvalidImageError("The PNG image has more chunks than any encoder writes.")


def _chunk(kind: bytes, contents: Sequence[memoryview]) -> list[bytes | memoryview]:
    """A chunk of such contents; nobody looks at the checksum of these."""
    return [_HEAD.pack(sum(map(len, contents)), kind), *contents, bytes(_CHECKSUM)]


def _check_texts(texts: Sequence[tuple[bytes, memoryview]]) -> None:
    """Refuse a flood of text. None of it is used, and no more than the limit is ever inflated."""
    if len(texts) > _MOST_TEXTS:
        raise _too_much_text()
    left = {True: _MOST_XMP, False: _MOST_TEXT}
    for kind, view in texts:
        text = bytes(view)
        is_xmp = text.startswith(_XMP)
        left[is_xmp] -= len(text)
        left[is_xmp] -= _inflated_length(kind, text, max(0, left[is_xmp]) + 1)
        if left[is_xmp] < 0:
            raise _too_much_text()


def _too_much_text() -> InvalidImageError:
    return InvalidImageError("The PNG image holds far more text than a photo needs.")


def _inflated_length(kind: bytes, text: bytes, most: int) -> int:
    """How long a compressed text is, up to `most`; 0 where it is not compressed, or broken."""
    _, _, rest = text.partition(b"\0")
    if kind == b"iTXt" and rest[:1] == b"\1":
        packed = rest[2:].split(b"\0", 2)[-1]
    elif kind == b"zTXt":
        packed = rest[1:]
    else:
        return 0
    try:
        return len(zlib.decompressobj().decompress(packed, most))
    except zlib.error:
        return 0


class CheckedPng(PngImageFile):
    """A PNG whose data may not hold more pixels than its header announces.

    The data is inflated here and handed on in blocks that are not compressed, so that it can be
    measured at the price of a copy: Pillow's decoder leaves off after the last row, whatever
    follows, and to inflate everything a second time would take 40% longer.
    """

    def _open(self) -> None:
        start = self.fp.read(_SIGNATURE + _HEADER.size) if self.fp else b""
        self._announced = _length(*_HEADER.unpack_from(start, _SIGNATURE)[2:])
        self._inflated = 0
        self._inflate = zlib.decompressobj()
        self._rest = b""
        if self.fp:
            self.fp.seek(0)
        super()._open()

    def load_read(self, read_bytes: int) -> bytes:
        """The next of the pixels' data, as a part of a zlib stream that is not compressed."""
        while not self._inflate.eof:
            came = self._rest or super().load_read(read_bytes)
            raw = self._inflate.decompress(came, _STORED)
            self._rest = self._inflate.unconsumed_tail
            if raw:
                start = b"" if self._inflated else b"\x78\x01"
                self._inflated += len(raw)
                return start + struct.pack("<BHH", 0, len(raw), _STORED - len(raw)) + raw
            if not came:
                break
        return b""

    def load_end(self) -> None:
        """Look at what follows the last row."""
        while self._inflated <= self._announced and self.load_read(_STORED):
            pass
        if self._inflated > self._announced:
            raise InvalidImageError("The PNG image holds more pixels than its header announces.")
        super().load_end()


def _length(width: int, height: int, depth: int, colour: int, interlace: int) -> int:
    """Bytes of all rows, each with that of its filter (PNG, sections 7.2 and 8)."""
    bits = depth * _SAMPLES[colour]
    passes = _PASSES if interlace else ((0, 0, 1, 1),)
    sizes = ((-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes)
    return sum(down * (1 + (across * bits + 7) // 8) for across, down in sizes if across > 0 < down)
