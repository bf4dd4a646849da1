"""What the metadata of a LiteRT file says, as the flatbuffer `ModelMetadata`.

The part of Google's `metadata_schema.fbs`, version 1.0, that a classifier needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import flatbuffers
from flatbuffers.number_types import (
    Float32Flags,
)

LABELS = "labels.txt"
"""The file of labels, inside the archive and beside a graph: a name a line."""
WORD = 4
_BRIGHTEST = 255
_METADATA_ID = b"M001"

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


@dataclass(frozen=True, slots=True)
class _Part:
    """A table to be written: numbers stand for one byte, tuples for float32 vectors."""

    kind: str
    fields: Mapping[str, Any]


def _part(kind: str, **fields: Any) -> _Part:
    return _Part(kind, fields)


def describe(facts: Facts) -> bytes:
    """The flatbuffer that says these facts."""
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
        return write_references(builder, [_write(builder, one) for one in value])
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


def write_references(builder: Any, places: Sequence[int]) -> int:
    """Write a vector of references to what was written before, and say where."""
    builder.StartVector(WORD, len(places), WORD)
    for place in reversed(places):
        builder.PrependUOffsetTRelative(place)
    return int(builder.EndVector())
