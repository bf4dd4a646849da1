"""The container of HEIC: boxes, and the items that `meta` names; read within bounds, and written.

ISO/IEC 14496-12 (boxes, `iloc`, `iinf`, `iref`) and 23008-12 (`iprp`). Items name bytes, properties
and each other by number, from anywhere to anywhere, so that little says much: every count is
bounded, and nothing is followed until it is asked for.
"""

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from viewfinder.errors import InvalidImageError

# libheif has the same bounds for items and extents. A photo of 48 megapixels has 192 tiles.
MOST_ITEMS: Final = 1000
_MOST_EXTENTS = 32
_OF_NUMBER = {2: 2, 3: 4}  # how long an item's number is, by the version of `infe`
_MOST_REFERENCES, _MOST_PROPERTIES = 4000, 255
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


@dataclass(frozen=True, slots=True)
class Property:
    """What is said of an item.

    Attributes:
        kind: Four letters.
        body: As the box has it.
        is_essential: Who does not know it cannot show the item.
    """

    kind: bytes
    body: bytes
    is_essential: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """A picture, or how one is put together.

    Attributes:
        number: Its name within the file.
        kind: What it is, in four letters.
        data: Its bytes.
        properties: In their order, which is that of turning and cropping.
    """

    number: int
    kind: bytes
    data: bytes
    properties: tuple[Property, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """One item says what others are to it."""

    kind: bytes
    of: int
    to: tuple[int, ...]


@dataclass(slots=True)
class Container:
    """What the first box `meta` of a file says.

    Attributes:
        primary: The number of the item to show.
        references: Between items.
    """

    primary: int = 0
    references: list[Reference] = field(default_factory=list)
    _sources: tuple[memoryview, memoryview] = (memoryview(b""), memoryview(b""))
    _kinds: dict[int, bytes] = field(default_factory=dict)
    _extents: dict[int, tuple[int, list[tuple[int, int]]]] = field(default_factory=dict)
    _properties: list[tuple[bytes, memoryview]] = field(default_factory=list)
    _described: dict[int, list[tuple[int, bool]]] = field(default_factory=dict)
    _taken: int = 0

    @classmethod
    def read(cls, data: bytes) -> "Container":
        """Read it, and none of the items.

        Raises:
            InvalidImageError: There is none, or it has more of something than any file.
        """
        view = memoryview(data)
        meta = next((body for kind, body in boxes(view) if kind == b"meta"), None)
        if meta is None:
            raise InvalidImageError("The HEIC file holds no still image.")
        container = cls(_sources=(view, memoryview(b"")))
        readers: dict[bytes, Callable[[Fields], None]] = {
            b"pitm": container._read_primary,
            b"iinf": container._read_kinds,
            b"iloc": container._read_extents,
            b"iref": container._read_references,
            b"iprp": container._read_properties,
        }
        for kind, body in boxes(meta[4:]):
            if kind == b"idat":
                container._sources = (view, body)
            elif kind in readers:
                readers[kind](Fields(body))
        return container

    def item(self, number: int) -> Item:
        """An item, its bytes put together.

        Raises:
            InvalidImageError: It is not there, or not whole; or all together would be more bytes
                than the file has, so that a few are many pictures.
        """
        if number not in self._kinds or number not in self._extents:
            raise damaged()
        method, extents = self._extents[number]
        if method >= len(self._sources):
            raise unusual()  # its bytes are said to be those of other items
        source = self._sources[method]
        self._taken += sum(length for _, length in extents)
        bounded(self._taken, len(self._sources[0]))
        parts = [source[start : start + length] for start, length in extents]
        if sum(map(len, parts)) != sum(length for _, length in extents):
            raise damaged()
        data = b"".join(parts)
        return Item(number, self._kinds[number], data, tuple(self.properties_of(number)))

    def properties_of(self, number: int) -> Iterator[Property]:
        """What is said of an item, in the order in which it counts.

        Raises:
            InvalidImageError: Something is said that is not there.
        """
        for index, is_essential in self._described.get(number, ()):
            if index > len(self._properties):
                raise damaged()
            if index:
                kind, body = self._properties[index - 1]
                yield Property(kind, bytes(body), is_essential)

    def _read_primary(self, fields: Fields) -> None:
        self.primary = fields.number(4 if fields.version() else 2)

    def _read_kinds(self, fields: Fields) -> None:
        fields.number(4 if fields.version() else 2)
        for kind, body in boxes(fields.rest()):
            entry = Fields(body)
            version = entry.version()
            if kind == b"infe" and version in _OF_NUMBER:
                number = entry.number(_OF_NUMBER[version])
                entry.number(2)
                self._kinds[number] = bytes(entry.take(4))

    def _read_extents(self, fields: Fields) -> None:
        version = fields.version()
        sizes = fields.number(2)
        of_offset, of_length, of_base, of_index = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        of_number = 4 if version > 1 else 2
        for _ in range(bounded(fields.number(of_number), MOST_ITEMS)):
            number = fields.number(of_number)
            method = fields.number(2) & 15 if version else 0
            fields.number(2)
            base = fields.number(of_base)
            extents = []
            for _ in range(bounded(fields.number(2), _MOST_EXTENTS)):
                fields.number(of_index if version else 0)
                offset = fields.number(of_offset)
                extents.append((base + offset, fields.number(of_length)))
            self._extents[number] = method, extents

    def _read_references(self, fields: Fields) -> None:
        of_number = 4 if fields.version() else 2
        total = 0
        for kind, body in boxes(fields.rest()):
            entry = Fields(body)
            of, count = entry.number(of_number), entry.number(2)
            total = bounded(total + count, _MOST_REFERENCES)
            to = tuple(entry.number(of_number) for _ in range(count))
            self.references.append(Reference(kind, of, to))

    def _read_properties(self, fields: Fields) -> None:
        for kind, body in boxes(fields.rest()):
            if kind == b"ipco":
                self._properties += boxes(body)
            elif kind == b"ipma":
                self._read_described(Fields(body))

    def _read_described(self, fields: Fields) -> None:
        of_number = 4 if fields.version() else 2
        of_index = 2 if fields.flags & 1 else 1
        essential = 0x80 << 8 * (of_index - 1)
        for _ in range(bounded(fields.number(4), MOST_ITEMS)):
            properties = self._described.setdefault(fields.number(of_number), [])
            for _ in range(fields.number(1)):
                found = fields.number(of_index)
                properties.append((found & ~essential, bool(found & essential)))
            bounded(len(properties), _MOST_PROPERTIES)


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
