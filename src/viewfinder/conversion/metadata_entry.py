"""An entry for metadata in the head of a LiteRT file, the graph behind it as it was."""

import struct
from collections.abc import Sequence
from typing import Any

import flatbuffers
from flatbuffers.number_types import (
    SOffsetTFlags,
    Uint32Flags,
    Uint64Flags,
    VOffsetTFlags,
)
from flatbuffers.table import Table

from viewfinder.conversion.metadata_tables import WORD, write_references
from viewfinder.conversion.tables import field_at, number_at, tables_in
from viewfinder.errors import ConversionError

_ENTRY = "TFLITE_METADATA"
_GRAPH_ID = b"TFL3"
_ALIGNMENT = 64  # what weights behind the flatbuffer have, which is more than those inside
_PLACE = struct.Struct("<Q")
# The fields of the graph's own tables, by their numbers.
_MODEL_FIELDS = 10
_VERSION, _SUBGRAPHS, _BUFFERS, _METADATA = 0, 2, 4, 6
_ENTRY_NAME, _ENTRY_BUFFER = 0, 1
_BUFFER_DATA, _BUFFER_OFFSET = 0, 1
_SUBGRAPH_OPERATORS, _OPERATOR_OFFSET = 3, 9


def with_entry(graph: bytes, metadata: bytes) -> bytes:
    """The graph behind a new head, in which the metadata has its entry.

    References of a flatbuffer are relative, and lead forward: what is moved as a whole stays right.
    Only weights that lie behind the flatbuffer are named by their places in the file.
    """
    if graph[4:8] != _GRAPH_ID:
        raise ConversionError("it is not a LiteRT file")
    model = Table(graph, int.from_bytes(graph[:WORD], "little"))
    buffers, entries = tables_in(model, _BUFFERS), tables_in(model, _METADATA)
    _check_known(model)

    # A builder works from the end to the front, and counts places from the end.
    builder = flatbuffers.Builder(len(graph) + len(metadata) + 64 * 1024)
    builder.Prep(_ALIGNMENT, len(graph))
    start = builder.CreateByteVector(graph) - WORD
    new_buffer = _write_buffer(builder, metadata)
    new_buffers = [start - buffer.Pos for buffer in buffers]
    new_entries = [start - entry.Pos for entry in entries]
    ours = [entry for entry in entries if _name(entry) == _ENTRY]
    if ours:
        new_buffers[number_at(ours[0], _ENTRY_BUFFER, Uint32Flags)] = new_buffer
    else:
        new_entries.append(_write_entry(builder, len(new_buffers)))
        new_buffers.append(new_buffer)
    replaced = {
        _BUFFERS: write_references(builder, new_buffers),
        _METADATA: write_references(builder, new_entries),
    }
    builder.StartObject(_MODEL_FIELDS)
    builder.PrependUint32Slot(_VERSION, number_at(model, _VERSION, Uint32Flags), 0)
    for number in range(_VERSION + 1, _MODEL_FIELDS):
        if place := field_at(model, number):
            old = start - model.Indirect(model.Pos + place)
            builder.PrependUOffsetTRelativeSlot(number, replaced.pop(number, old), 0)
    for number, place in replaced.items():
        builder.PrependUOffsetTRelativeSlot(number, place, 0)
    builder.Finish(builder.EndObject(), file_identifier=_GRAPH_ID)
    moved = builder.Output()
    _shift_places(moved, len(moved) - start, _named_places(model, buffers))
    return bytes(moved)


def _named_places(model: Any, buffers: Sequence[Any]) -> list[int]:
    """Where the graph names a place in the file; 0 and 1 name none."""
    operators = [
        one
        for graph in tables_in(model, _SUBGRAPHS)
        for one in tables_in(graph, _SUBGRAPH_OPERATORS)
    ]
    fields = [(one, _BUFFER_OFFSET) for one in buffers]
    fields += [(one, _OPERATOR_OFFSET) for one in operators]
    return [
        table.Pos + field_at(table, number)
        for table, number in fields
        if number_at(table, number, Uint64Flags) > 1
    ]


def _shift_places(moved: bytearray, by: int, places: Sequence[int]) -> None:
    for place in places:
        (named,) = _PLACE.unpack_from(moved, place + by)
        _PLACE.pack_into(moved, place + by, named + by)


def _check_known(model: Any) -> None:
    """Nothing is known of how fields that came later would have to be moved."""
    described = model.Pos - model.Get(SOffsetTFlags, model.Pos)
    if model.Get(VOffsetTFlags, described) > WORD + 2 * _MODEL_FIELDS:
        raise ConversionError("the LiteRT file is of a newer kind: metadata cannot be written")


def _write_buffer(builder: Any, content: bytes) -> int:
    builder.Prep(_ALIGNMENT, len(content))
    data = builder.CreateByteVector(content)
    builder.StartObject(_BUFFER_DATA + 1)
    builder.PrependUOffsetTRelativeSlot(_BUFFER_DATA, data, 0)
    return int(builder.EndObject())


def _write_entry(builder: Any, buffer: int) -> int:
    name = builder.CreateString(_ENTRY)
    builder.StartObject(_ENTRY_BUFFER + 1)
    builder.PrependUOffsetTRelativeSlot(_ENTRY_NAME, name, 0)
    builder.PrependUint32Slot(_ENTRY_BUFFER, buffer, 0)
    return int(builder.EndObject())


def _name(entry: Any) -> str:
    place = field_at(entry, _ENTRY_NAME)
    return str(entry.String(entry.Pos + place).decode()) if place else ""
