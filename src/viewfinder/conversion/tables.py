"""Reading a flatbuffer's tables by the numbers of their fields, without code made for a schema."""

from typing import Any

from flatbuffers.table import Table

WORD = 4
"""Bytes of a length, and of a reference."""


def field_at(table: Any, number: int) -> int:
    """Where a field lies in its table; 0 if it is not there."""
    return int(table.Offset(WORD + 2 * number))


def tables_in(table: Any, number: int) -> list[Any]:
    """The tables in a vector."""
    return [Table(table.Bytes, table.Indirect(place)) for place in places_in(table, number)]


def places_in(table: Any, number: int) -> range:
    """Where the elements of a vector lie in the file, each of one word."""
    place = field_at(table, number)
    if not place:
        return range(0)
    first = table.Vector(place)
    return range(first, first + WORD * table.VectorLen(place), WORD)


def number_at(table: Any, number: int, kind: Any) -> int:
    """A field that is a number; 0 if it is not there."""
    place = field_at(table, number)
    return int(table.Get(kind, table.Pos + place)) if place else 0
