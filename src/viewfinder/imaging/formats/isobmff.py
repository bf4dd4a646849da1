"""The container of HEIC: the items that `meta` names; read within bounds.

ISO/IEC 14496-12 (boxes, `iloc`, `iinf`, `iref`) and 23008-12 (`iprp`). Items name bytes, properties
and each other by number, from anywhere to anywhere, so that little says much: every count is
bounded, and nothing is followed until it is asked for.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from viewfinder.errors import InvalidImageError
from viewfinder.imaging.formats.boxes import Fields, bounded, boxes, damaged, unusual

# libheif has the same bounds for items and extents. A photo of 48 megapixels has 192 tiles.
MOST_ITEMS: Final = 1000
_MOST_EXTENTS = 32
_OF_NUMBER = {2: 2, 3: 4}  # how long an item's number is, by the version of `infe`
_MOST_REFERENCES, _MOST_PROPERTIES = 4000, 255


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
