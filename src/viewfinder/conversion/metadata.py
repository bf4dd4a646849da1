"""The standard metadata of LiteRT files, which other tools and phones read.

Google's `metadata_schema.fbs`, version 1.0: what goes in, what comes out, how pixels are scaled. It
is a flatbuffer of its own in a buffer of the graph, and the file of labels is a zip archive at the
file's end. The graph itself keeps its bytes: a new head is written before it, which points into it.
Unpacking and packing 20 MB of weights would take time, and would lose their alignment.
"""

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import flatbuffers
from flatbuffers.number_types import (
    Float32Flags,
    SOffsetTFlags,
    Uint32Flags,
    Uint64Flags,
    VOffsetTFlags,
)
from flatbuffers.table import Table

from viewfinder.conversion.tables import field_at, number_at, tables_in
from viewfinder.errors import ConversionError

LABELS = "labels.txt"
"""The file of labels, inside the archive and beside a graph: a name a line."""

_ENTRY = "TFLITE_METADATA"
_GRAPH_ID, _METADATA_ID = b"TFL3", b"M001"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_ALIGNMENT = 64  # what weights behind the flatbuffer have, which is more than those inside
_WORD = 4
_PLACE = struct.Struct("<Q")
_BRIGHTEST = 255

# The fields of the graph's own tables, by their numbers.
_MODEL_FIELDS = 10
_VERSION, _SUBGRAPHS, _BUFFERS, _METADATA = 0, 2, 4, 6
_ENTRY_NAME, _ENTRY_BUFFER = 0, 1
_BUFFER_DATA, _BUFFER_OFFSET = 0, 1
_SUBGRAPH_OPERATORS, _OPERATOR_OFFSET = 3, 9

# The part of the metadata's schema that is needed: the fields of each table in their order.
_SCHEMA: Mapping[str, tuple[str, ...]] = {
    "ModelMetadata": (
        "name",
        "description",
        "version",
        "subgraph_metadata",
        "author",
        "license",
        "associated_files",
        "min_parser_version",
    ),
    "SubGraphMetadata": (
        "name",
        "description",
        "input_tensor_metadata",
        "output_tensor_metadata",
    ),
    "TensorMetadata": (
        "name",
        "description",
        "dimension_names",
        "content",
        "process_units",
        "stats",
        "associated_files",
    ),
    "Content": ("content_properties_type", "content_properties"),
    "FeatureProperties": (),
    "ImageProperties": ("color_space",),
    "ProcessUnit": ("options_type", "options"),
    "NormalizationOptions": ("mean", "std"),
    "Stats": ("max", "min"),
    "AssociatedFile": ("name", "description", "type"),
}
_FEATURE, _IMAGE = 1, 2  # of ContentProperties
_RGB = 1  # of ColorSpaceType
_NORMALIZATION = 1  # of ProcessUnitOptions
_AXIS_LABELS = 2  # of AssociatedFileType


@dataclass(frozen=True, slots=True)
class Facts:
    """What the metadata says of a classifier.

    Attributes:
        name: Of the model.
        version: Of the model.
        description: A sentence.
        author: Who made it, if that is known.
        labels: The name of each class, in the order of the output.
        output: What the graph gives for each class.
        channels: The order of the colours.
        mean: For each channel: `(pixel - mean) / std` is what the graph takes.
        std: For each channel.
        license: What it may be used under, if that is known.
    """

    name: str
    version: str
    description: str
    author: str | None
    labels: Sequence[str]
    output: Literal["logits", "probabilities"] = "logits"
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    license: str | None = None


def with_metadata(graph: bytes, facts: Facts) -> bytes:
    """Write metadata, and the labels, into a LiteRT file; what it had of them before is replaced.

    Args:
        graph: The file.
        facts: What to say.

    Returns:
        The file with them: the graph in it computes what it did.

    Raises:
        ConversionError: It is no LiteRT file, or of a kind that is not known yet.
    """
    file = io.BytesIO(_with_entry(_without_files(graph), _describe(facts)))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS, _EPOCH), as_lines(facts.labels))
    return file.getvalue()


def as_lines(labels: Sequence[str]) -> str:
    """The labels, one a line, whatever is in them."""
    return "".join(" ".join(label.splitlines()) + "\n" for label in labels)


@dataclass(frozen=True, slots=True)
class _Part:
    """A table to be written: numbers stand for one byte, tuples for float32 vectors."""

    kind: str
    fields: Mapping[str, Any]


def _part(kind: str, **fields: Any) -> _Part:
    return _Part(kind, fields)


def _describe(facts: Facts) -> bytes:
    """The flatbuffer `ModelMetadata`."""
    image = _part(
        "TensorMetadata",
        name="image",
        description=f"A photo, {facts.channels.upper()}.",
        content=_part(
            "Content",
            content_properties_type=_IMAGE,
            # The schema knows no BGR.
            content_properties=_part("ImageProperties", color_space=_RGB)
            if facts.channels == "rgb"
            else _part("ImageProperties"),
        ),
        process_units=[
            _part(
                "ProcessUnit",
                options_type=_NORMALIZATION,
                options=_part("NormalizationOptions", mean=facts.mean, std=facts.std),
            )
        ],
        stats=_part(
            "Stats",
            max=tuple((_BRIGHTEST - m) / s for m, s in zip(facts.mean, facts.std, strict=True)),
            min=tuple((0 - m) / s for m, s in zip(facts.mean, facts.std, strict=True)),
        ),
    )
    labels = _part(
        "AssociatedFile", name=LABELS, description="The name of each class.", type=_AXIS_LABELS
    )
    scores = _part(
        "TensorMetadata",
        name="probability" if facts.output == "probabilities" else "logits",
        description=f"A number for each class: {facts.output}.",
        content=_part(
            "Content",
            content_properties_type=_FEATURE,
            content_properties=_part("FeatureProperties"),
        ),
        associated_files=[labels],
    )
    model = _part(
        "ModelMetadata",
        name=facts.name,
        description=facts.description,
        version=facts.version,
        subgraph_metadata=[
            _part(
                "SubGraphMetadata", input_tensor_metadata=[image], output_tensor_metadata=[scores]
            )
        ],
        author=facts.author,
        license=facts.license,
        min_parser_version="1.0.0",
    )
    builder = flatbuffers.Builder()
    builder.Finish(_write(builder, model), file_identifier=_METADATA_ID)
    return bytes(builder.Output())


def _write(builder: Any, value: Any) -> int:
    """Write a value that lies apart from the table that names it, and say where."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, tuple):
        builder.StartVector(Float32Flags.bytewidth, len(value), Float32Flags.bytewidth)
        for number in reversed(value):
            builder.PrependFloat32(number)
        return int(builder.EndVector())
    if isinstance(value, list):
        return _write_references(builder, [_write(builder, one) for one in value])
    schema = _SCHEMA[value.kind]
    fields = {schema.index(name): one for name, one in value.fields.items() if one is not None}
    written = {
        n: one if isinstance(one, int) else _write(builder, one) for n, one in fields.items()
    }
    builder.StartObject(len(schema))
    for number, one in written.items():
        if isinstance(fields[number], int):
            builder.PrependUint8Slot(number, one, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(number, one, 0)
    return int(builder.EndObject())


def _write_references(builder: Any, places: Sequence[int]) -> int:
    builder.StartVector(_WORD, len(places), _WORD)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())


def _without_files(graph: bytes) -> bytes:
    """The graph without an archive at its end."""
    file = io.BytesIO(graph)
    if not zipfile.is_zipfile(file):
        return graph
    with zipfile.ZipFile(file) as archive:
        return graph[: min((m.header_offset for m in archive.infolist()), default=len(graph))]


def _with_entry(graph: bytes, metadata: bytes) -> bytes:
    """The graph behind a new head, in which the metadata has its entry.

    References of a flatbuffer are relative, and lead forward: what is moved as a whole stays right.
    Only weights that lie behind the flatbuffer are named by their places in the file.
    """
    if graph[4:8] != _GRAPH_ID:
        raise ConversionError("it is not a LiteRT file")
    model = Table(graph, int.from_bytes(graph[:_WORD], "little"))
    buffers, entries = tables_in(model, _BUFFERS), tables_in(model, _METADATA)
    _check_known(model)

    # A builder works from the end to the front, and counts places from the end.
    builder = flatbuffers.Builder(len(graph) + len(metadata) + 64 * 1024)
    builder.Prep(_ALIGNMENT, len(graph))
    start = builder.CreateByteVector(graph) - _WORD
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
        _BUFFERS: _write_references(builder, new_buffers),
        _METADATA: _write_references(builder, new_entries),
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
    if model.Get(VOffsetTFlags, described) > _WORD + 2 * _MODEL_FIELDS:
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
