"""A LiteRT graph without its feature map: one output, as phones and other tools expect."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from flatbuffers.number_types import Uint32Flags
from flatbuffers.table import Table

from viewfinder.conversion.tables import WORD, number_at, places_in, tables_in

# The fields of the graph's own tables, by their numbers.
_SUBGRAPHS, _SIGNATURES = 2, 7
_TENSORS, _OUTPUTS = 0, 2
_SHAPE = 0
_SIGNATURE_OUTPUTS, _TENSOR_INDEX = 1, 1
_MAP_RANK = 4
_NUMBER = struct.Struct("<I")


def scores_only(graph: bytes) -> bytes:
    """The graph without outputs of four axes; what it computes for the others is the same.

    It keeps its length, and all else in its place: two lists become shorter.

    Args:
        graph: What `to_litert` returned, or what was made of that.
    """
    changed = bytearray(graph)
    model = Table(changed, int.from_bytes(graph[:WORD], "little"))
    main = tables_in(model, _SUBGRAPHS)[0]
    ranks = [len(places_in(tensor, _SHAPE)) for tensor in tables_in(main, _TENSORS)]

    def is_scores(tensor: int) -> bool:
        return ranks[tensor] != _MAP_RANK

    outputs = places_in(main, _OUTPUTS)
    kept = [_read(changed, place) for place in outputs]
    _shorten(changed, main, _OUTPUTS, [one for one in kept if is_scores(one)], lambda one, _: one)
    for signature in tables_in(model, _SIGNATURES):
        named = tables_in(signature, _SIGNATURE_OUTPUTS)
        tables = [one.Pos for one in named if is_scores(number_at(one, _TENSOR_INDEX, Uint32Flags))]
        # A reference counts from where it stands.
        _shorten(changed, signature, _SIGNATURE_OUTPUTS, tables, lambda table, at: table - at)
    return bytes(changed)


def _shorten(
    graph: bytearray,
    table: Any,
    number: int,
    kept: Sequence[int],
    written: Callable[[int, int], int],
) -> None:
    """Write a vector anew that has become shorter, each element as it is written at its place."""
    places = places_in(table, number)
    for place, one in zip(places, kept, strict=False):
        _NUMBER.pack_into(graph, place, written(one, place))
    _NUMBER.pack_into(graph, places.start - WORD, len(kept))


def _read(graph: bytearray, place: int) -> int:
    (number,) = _NUMBER.unpack_from(graph, place)
    return int(number)
