"""Broken images without end: real photos in every accepted form, changed by chance, by a seed."""

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image
from tests.robustness import images
from tests.support import DATA, encode

from viewfinder.imaging.formats import heif

_SIZE = (160, 120)
_LARGEST = 4 << 20


@dataclass(frozen=True)
class Mutant:
    """A broken image.

    Attributes:
        name: Its number, the photo that it was, and what was done to it.
        data: The file.
    """

    name: str
    data: bytes


def mutants(seed: int, count: int) -> Iterator[Mutant]:
    """So many broken images; the n-th of a seed is always the same.

    Args:
        seed: Of the chance.
        count: How many.
    """
    return broken(originals(), seed, count)


def broken(photos: Mapping[str, bytes], seed: int, count: int) -> Iterator[Mutant]:
    """As `mutants`, of these photos alone."""
    sound = list(photos.items())
    for number in range(count):
        draw = np.random.default_rng((seed, number))
        name, data = sound[number % len(sound)]
        done = []
        for _ in range(int(draw.geometric(0.6))):
            change = _CHANGES[draw.integers(len(_CHANGES))]
            data = change(data, draw)[:_LARGEST]
            done.append(change.__name__.strip("_"))
        yield Mutant(f"{number} {name}: {', '.join(done)}", data)


@cache
def originals() -> dict[str, bytes]:
    """Sound photos in all accepted formats, and in each of its forms."""
    image = images.picture("cat.jpg").resize(_SIZE)
    clear = image.convert("RGBA")
    clear.putalpha(image.convert("L"))
    palette = image.convert("P")
    grey = image.convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    notes: dict[str, Any] = {"exif": exif, "icc_profile": bytes(range(256)) * 8}
    frames: dict[str, Any] = {
        "save_all": True,
        "append_images": [image.rotate(angle) for angle in (90, 180)],
        "duration": 40,
    }
    return {
        "jpeg": encode(image, "JPEG", **notes),
        "jpeg grey": encode(grey, "JPEG"),
        "jpeg 4:4:4": encode(image, "JPEG", subsampling=0, restart_marker_blocks=4),
        "jpeg progressive": encode(image, "JPEG", progressive=True, **notes),
        "jpeg cmyk": encode(image.convert("CMYK"), "JPEG"),
        "jpeg ycck": images.ycck(image),
        "png": encode(image, **notes),
        "png alpha": encode(clear),
        "png grey": encode(grey, transparency=7),
        "png grey alpha": encode(clear.convert("LA")),
        "png 16": encode(deep),
        "png palette": encode(palette, transparency=bytes(range(256))),
        "png 4": encode(image.convert("P", palette=Image.Palette.ADAPTIVE, colors=16), bits=4),
        "png 1": encode(image.convert("1")),
        "png text": images.png_with(image, before=[(b"zTXt", b"a\0\0" + zlib.compress(b"b"))]),
        "apng": encode(image, "PNG", **frames),
        "webp": encode(image, "WEBP", **notes),
        "webp alpha": encode(clear, "WEBP"),
        "webp lossless": encode(image, "WEBP", lossless=True),
        "webp animated": encode(image, "WEBP", **frames),
        "webp animated lossless": encode(clear, "WEBP", lossless=True, **frames),
        "gif": encode(image, "GIF"),
        "gif animated": encode(image, "GIF", transparency=3, interlace=1, **frames),
        "bmp": encode(image, "BMP"),
        "bmp palette": encode(palette, "BMP"),
        "bmp 1": encode(image.convert("1"), "BMP"),
        "bmp alpha": encode(clear, "BMP"),
        "bmp runs": images.bmp_of_runs(image),
        **(heic_photos() if heif.is_installed() else {}),
    }


def heic_photos() -> dict[str, bytes]:
    """Sound HEIC photos in each form."""
    made = {f"heic {path.stem}": path.read_bytes() for path in sorted(DATA.glob("*.heic"))}
    return {**made, "heic tiles": images.heic_of_tiles(made["heic pair"])}


def _flip_bits(data: bytes, draw: np.random.Generator) -> bytes:
    broken = bytearray(data)
    for place in draw.integers(len(data), size=1 + draw.geometric(0.1)):
        broken[place] ^= 1 << int(draw.integers(8))
    return bytes(broken)


def _set_bytes(data: bytes, draw: np.random.Generator) -> bytes:
    broken = bytearray(data)
    for place in draw.integers(len(data), size=1 + draw.geometric(0.2)):
        broken[place] = int(draw.choice([0, 1, 0x7F, 0x80, 0xFF, int(draw.integers(256))]))
    return bytes(broken)


def _cut(data: bytes, draw: np.random.Generator) -> bytes:
    return data[: draw.integers(12, len(data))] if len(data) > 12 else data


def _take_out(data: bytes, draw: np.random.Generator) -> bytes:
    start, end = _region(data, draw)
    return data[:start] + data[end:] if end - start < len(data) - 12 else data


def _repeat(data: bytes, draw: np.random.Generator) -> bytes:
    start, end = _region(data, draw)
    times = int(draw.choice([1, 2, 10, 1000, 100_000]))
    times = min(times, _LARGEST // (4 * max(1, end - start)))
    return data[:end] + data[start:end] * times + data[end:]


def _move(data: bytes, draw: np.random.Generator) -> bytes:
    start, end = _region(data, draw)
    place = int(draw.integers(len(data)))
    return data[:place] + data[start:end] + data[place + end - start :]


def _splice(data: bytes, draw: np.random.Generator) -> bytes:
    others = list(originals().values())
    other = others[draw.integers(len(others))]
    start, end = _region(other, draw)
    place = int(draw.integers(len(data)))
    over = (end - start) * int(draw.integers(2))
    return data[:place] + other[start:end] + data[place + over :]


def _edit_header(data: bytes, draw: np.random.Generator) -> bytes:
    """A number of one, two or four bytes near the beginning, where sizes and depths stand."""
    return _put_number(data, int(draw.integers(2, min(80, len(data)))), draw)


def _edit_structure(data: bytes, draw: np.random.Generator) -> bytes:
    """The length or the beginning of a chunk or segment."""
    places = _structure(data)
    if not places:
        return _edit_header(data, draw)
    place = places[draw.integers(len(places))] + int(draw.integers(-4, 12))
    return _put_number(data, max(2, place), draw)


def _edit_and_sign(data: bytes, draw: np.random.Generator) -> bytes:
    """The content of a PNG's chunk, with the checksum that goes with it; else of its header."""
    if not data.startswith(b"\x89PNG"):
        return _edit_structure(data, draw)
    chunks = images.png_chunks(data)
    if not chunks:
        return data
    number = int(draw.integers(len(chunks)))
    kind, body = chunks[number]
    if kind == b"IDAT" and draw.integers(2):
        try:
            body = zlib.compress(_flip_bits(zlib.decompress(body), draw))
        except zlib.error:
            body = body[: len(body) // 2]
    elif body:
        body = _put_number(body, int(draw.integers(min(len(body), 40))), draw)
    chunks[number] = (kind, body)
    return images.png_of(chunks)


_CHANGES: tuple[Callable[[bytes, np.random.Generator], bytes], ...] = (
    _flip_bits,
    _set_bytes,
    _cut,
    _take_out,
    _repeat,
    _move,
    _splice,
    _edit_header,
    _edit_structure,
    _edit_structure,
    _edit_and_sign,
)


def _region(data: bytes, draw: np.random.Generator) -> tuple[int, int]:
    start = int(draw.integers(len(data)))
    most = int(draw.choice([4, 16, 64, 1024, 100_000]))
    return start, min(len(data), start + 1 + int(draw.integers(most)))


def _put_number(data: bytes, place: int, draw: np.random.Generator) -> bytes:
    order = "<>"[draw.integers(2)]
    form, most = [("B", 8), ("H", 16), ("I", 32)][draw.integers(3)]
    edges = [0, 1, 2**most - 1, 2 ** (most - 1), 2 ** (most // 2), int(draw.integers(2**most))]
    number = struct.pack(order + form, edges[draw.integers(len(edges))])
    return data[:place] + number + data[place + len(number) :]


_MARKS = (
    *(b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"iCCP", b"eXIf", b"zTXt", b"acTL", b"fcTL", b"fdAT"),
    *(b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF"),
    *(bytes((0xFF, kind)) for kind in (0xC0, 0xC2, 0xC4, 0xDA, 0xDB, 0xDD, 0xE1, 0xE2, 0xEE)),
    *(b"meta", b"pitm", b"iinf", b"infe", b"iref", b"auxl", b"dimg", b"iloc", b"ipco", b"ipma"),
    *(b"ispe", b"hvcC", b"irot", b"imir", b"pixi", b"colr", b"auxC", b"\0\0\0\1\x26", b"mdat"),
    *(b"!\xf9\x04", b"!\xff\x0b", b"\0,\0", b"BM"),
)


def _structure(data: bytes) -> list[int]:
    """Where chunks, segments or blocks begin, or seem to."""
    return list(itertools.chain.from_iterable(_places(data, mark) for mark in _MARKS))


def _places(data: bytes, mark: bytes) -> list[int]:
    found: list[int] = []
    place = data.find(mark)
    while place >= 0 and len(found) < 8:
        found.append(place)
        place = data.find(mark, place + 1)
    return found
