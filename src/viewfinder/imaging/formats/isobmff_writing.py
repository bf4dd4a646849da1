"""The container of HEIC, written anew from its items."""

import struct
from collections.abc import Sequence

from viewfinder.imaging.formats.isobmff import Item, Property, Reference


def write(items: Sequence[Item], references: Sequence[Reference]) -> bytes:
    """Make a file of these items, the first of which is to be shown."""
    numbers = {item.number: place for place, item in enumerate(items, 1)}
    # The same things are said of every tile.
    properties = list(dict.fromkeys((p.kind, p.body) for item in items for p in item.properties))
    indices = {found: place for place, found in enumerate(properties, 1)}
    file_type = _box(b"ftyp", b"heic", bytes(4), b"mif1", b"heic")
    before = (
        _full(b"hdlr", bytes(4), b"pict", bytes(13)),
        _full(b"pitm", _short(1)),
        _full(b"iinf", _short(len(items)), *(_entry(numbers[i.number], i.kind) for i in items)),
        _box(
            b"iprp",
            _box(b"ipco", *(_box(*found) for found in properties)),
            _full(
                b"ipma",
                struct.pack(">I", len(items)),
                *(_described(numbers[item.number], item.properties, indices) for item in items),
                flags=1,
            ),
        ),
        _full(b"iref", *(_referred(found, numbers) for found in references)),
    )
    length_of_places = 16 + 14 * len(items)
    meta_length = 12 + sum(map(len, before)) + length_of_places
    places, place = [], len(file_type) + meta_length + 8
    for item in items:
        places.append(struct.pack(">HHHII", numbers[item.number], 0, 1, place, len(item.data)))
        place += len(item.data)
    located = _full(b"iloc", b"\x44\0", _short(len(items)), *places)
    meta = _full(b"meta", *before, located)
    return b"".join([file_type, meta, _box(b"mdat", *(item.data for item in items))])


def _box(kind: bytes, *contents: bytes) -> bytes:
    return b"".join([struct.pack(">I4s", 8 + sum(map(len, contents)), kind), *contents])


def _full(kind: bytes, *contents: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *contents)


def _short(number: int) -> bytes:
    return struct.pack(">H", number)


def _entry(number: int, kind: bytes) -> bytes:
    return _full(b"infe", struct.pack(">HH4sx", number, 0, kind), version=2)


def _described(
    number: int, properties: Sequence[Property], indices: dict[tuple[bytes, bytes], int]
) -> bytes:
    essential = {True: 0x8000, False: 0}
    said = [indices[p.kind, p.body] | essential[p.is_essential] for p in properties]
    return struct.pack(f">HB{len(said)}H", number, len(said), *said)


def _referred(found: Reference, numbers: dict[int, int]) -> bytes:
    to = [numbers[number] for number in found.to]
    return _box(found.kind, struct.pack(f">HH{len(to)}H", numbers[found.of], len(to), *to))
