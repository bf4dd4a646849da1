"""The metadata of LiteRT files, read back by nothing of what wrote it."""

import io
import zipfile
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from flatbuffers.number_types import Float32Flags, Int8Flags, Uint32Flags, Uint64Flags
from flatbuffers.table import Table
from tests.support import DATA

from viewfinder.conversion.metadata import with_metadata
from viewfinder.conversion.metadata_tables import Facts
from viewfinder.engines.base import EngineOptions
from viewfinder.engines.litert import LiteRTEngine
from viewfinder.errors import ConversionError
from viewfinder.registry.manifest import Scaling
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE

BUILTIN = BUILTIN_STORE / BUILTIN_MODEL / "1" / "model.int8.tflite"
FOREIGN = DATA / "foreign-float.tflite"
SCALING = Scaling(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))
FACTS = Facts(
    name="shoes",
    version="3",
    description="Tells shoes apart.",
    author="somebody",
    labels=("sandal", "Stöckelschuh", "two\nlines"),
    license="Apache-2.0",
)


class Fields:
    """A table of a flatbuffer, its fields by their numbers in the schema."""

    def __init__(self, content: bytes, position: int | None = None) -> None:
        if position is None:
            position = int.from_bytes(content[:4], "little")
        self._table = Table(content, position)

    def _place(self, number: int) -> int:
        return int(self._table.Offset(4 + 2 * number))

    def text(self, number: int) -> str | None:
        place = self._place(number)
        return self._table.String(self._table.Pos + place).decode() if place else None

    def number(self, number: int, kind: Any = Int8Flags) -> int:
        place = self._place(number)
        return int(self._table.Get(kind, self._table.Pos + place)) if place else 0

    def table(self, number: int) -> "Fields":
        place = self._table.Pos + self._place(number)
        return Fields(self._table.Bytes, self._table.Indirect(place))

    def _vector(self, number: int) -> range:
        place = self._place(number)
        if not place:
            return range(0)
        first = self._table.Vector(place)
        return range(first, first + 4 * self._table.VectorLen(place), 4)

    def tables(self, number: int) -> list["Fields"]:
        at = self._vector(number)
        return [Fields(self._table.Bytes, self._table.Indirect(place)) for place in at]

    def floats(self, number: int) -> list[float]:
        return [self._table.Get(Float32Flags, place) for place in self._vector(number)]

    def content(self, number: int) -> bytes:
        place = self._place(number)
        first = self._table.Vector(place)
        return bytes(self._table.Bytes[first : first + self._table.VectorLen(place)])


def _entries(graph: bytes) -> list[tuple[str | None, int]]:
    return [(one.text(0), one.number(1, Uint32Flags)) for one in Fields(graph).tables(6)]


def _metadata(graph: bytes) -> Fields:
    (buffer,) = (number for name, number in _entries(graph) if name == "TFLITE_METADATA")
    content = Fields(graph).tables(4)[buffer].content(0)
    assert content[4:8] == b"M001"
    return Fields(content)


def _predict(graph: bytes, folder: Path, scaling: Scaling | None = None) -> Any:
    path = folder / "x.tflite"
    path.write_bytes(graph)
    engine = LiteRTEngine(path, EngineOptions(threads=1, scaling=scaling))
    pixels = np.random.default_rng(0).integers(0, 256, (3, *engine.input_shape), np.uint8)
    return engine.predict(pixels)


def test_what_is_said_can_be_read() -> None:
    model = _metadata(with_metadata(BUILTIN.read_bytes(), FACTS))
    assert [model.text(n) for n in (0, 1, 2, 4, 5, 7)] == [
        "shoes",
        "Tells shoes apart.",
        "3",
        "somebody",
        "Apache-2.0",
        "1.0.0",
    ]
    (graph,) = model.tables(3)
    (image,), (scores,) = graph.tables(2), graph.tables(3)
    assert (image.text(0), scores.text(0)) == ("image", "logits")
    content = image.table(3)
    assert (content.number(0), content.table(1).number(0)) == (2, 1)  # an image, RGB
    (unit,) = image.tables(4)
    assert unit.number(0) == 1
    assert (unit.table(1).floats(0), unit.table(1).floats(1)) == ([0], [1])
    assert (image.table(5).floats(0), image.table(5).floats(1)) == ([255], [0])
    assert scores.table(3).number(0) == 1  # numbers
    (labels,) = scores.tables(6)
    assert (labels.text(0), labels.number(2)) == ("labels.txt", 2)  # they name the axis


def test_a_foreign_graph_says_how_its_pixels_are_scaled() -> None:
    facts = Facts(
        name="x",
        version="1",
        description="",
        author="",
        labels=("a", "b", "c"),
        output="probabilities",
        channels="bgr",
        mean=(100, 0, 0),
        std=(50, 1, 1),
    )
    (graph,) = _metadata(with_metadata(FOREIGN.read_bytes(), facts)).tables(3)
    (image,), (scores,) = graph.tables(2), graph.tables(3)
    assert scores.text(0) == "probability"
    assert image.table(3).table(1).number(0) == 0  # the schema has no name for BGR
    assert image.tables(4)[0].table(1).floats(0) == [100, 0, 0]
    assert image.table(5).floats(1) == [-2, 0, 0]
    assert image.table(5).floats(0) == pytest.approx([3.1, 255, 255])


def test_any_zip_reader_finds_the_labels() -> None:
    written = with_metadata(BUILTIN.read_bytes(), FACTS)
    with zipfile.ZipFile(io.BytesIO(written)) as archive:
        (member,) = archive.infolist()
        assert (member.filename, member.compress_type) == ("labels.txt", zipfile.ZIP_STORED)
        assert archive.read(member).decode() == "sandal\nStöckelschuh\ntwo lines\n"
        assert written[member.header_offset :].startswith(b"PK\3\4")  # counted from the start


def test_the_graph_computes_what_it_did(tmp_path: Path) -> None:
    for graph, scaling in ((BUILTIN.read_bytes(), None), (FOREIGN.read_bytes(), SCALING)):
        expected = _predict(graph, tmp_path, scaling)
        got = _predict(with_metadata(graph, FACTS), tmp_path, scaling)
        assert (got == expected).all()
        assert got.std() > 0


def test_weights_keep_their_alignment_inside_and_behind_the_flatbuffer() -> None:
    behind = Fields(BUILTIN.read_bytes()).tables(4)
    moved = Fields(with_metadata(BUILTIN.read_bytes(), FACTS)).tables(4)
    places = [one.number(1, Uint64Flags) for one in behind]
    assert max(places) > 1  # or this graph has none behind it, and another must show it
    shifts = {
        new.number(1, Uint64Flags) - old for new, old in zip(moved, places, strict=False) if old > 1
    }
    assert len(shifts) == 1
    assert shifts.pop() % 64 == 0


def test_what_a_file_has_already_is_replaced(tmp_path: Path) -> None:
    graph = FOREIGN.read_bytes()
    others = _entries(graph)
    assert others  # a converter writes which runtime it needs
    first = with_metadata(graph, FACTS)
    again = Facts(name="boots", version="4", description="", author="", labels=("a", "b", "c"))
    second = with_metadata(first, again)
    assert _entries(second) == _entries(first)
    assert [name for name, _ in _entries(second)] == [*(n for n, _ in others), "TFLITE_METADATA"]
    assert _metadata(second).text(0) == "boots"
    assert _metadata(second).text(5) is None
    with zipfile.ZipFile(io.BytesIO(second)) as archive:
        assert archive.namelist() == ["labels.txt"]
        assert archive.read("labels.txt") == b"a\nb\nc\n"
    expected = _predict(graph, tmp_path, SCALING)
    assert (_predict(second, tmp_path, SCALING) == expected).all()


def test_the_same_facts_give_the_same_bytes() -> None:
    graph = FOREIGN.read_bytes()
    assert with_metadata(graph, FACTS) == with_metadata(graph, FACTS)


def test_what_is_no_graph_of_a_known_kind_is_refused() -> None:
    with pytest.raises(ConversionError, match="not a LiteRT file"):
        with_metadata(b"PK\5\6" + bytes(30), FACTS)
    builder = flatbuffers.Builder()
    name = builder.CreateString("from the future")
    builder.StartObject(11)
    builder.PrependUOffsetTRelativeSlot(10, name, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    with pytest.raises(ConversionError, match="newer kind"):
        with_metadata(bytes(builder.Output()), FACTS)
