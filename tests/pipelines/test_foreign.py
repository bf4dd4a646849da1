"""Graphs that were made elsewhere."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import encode

from viewfinder.engines.loader import load_variant
from viewfinder.errors import BundleError, InvalidParameterError, ScalingNeededError
from viewfinder.imaging.preprocess import preprocess
from viewfinder.pipelines.foreign import (
    SCALINGS,
    ForeignGraph,
    distinct,
    make_bundle,
    read_labels,
)
from viewfinder.pipelines.publish import add_next
from viewfinder.registry.folder import FolderStore
from viewfinder.settings import Limits

DATA = Path(__file__).parents[1] / "data"
COLOURS = ("red", "green", "blue")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("file", "scaling"), [("uint8", None), ("uint8", "-1-1"), ("float", "-1-1")]
)
def test_a_foreign_graph_answers_as_it_did_at_home(
    store: Path, file: str, scaling: str | None
) -> None:
    graph = ForeignGraph(
        DATA / f"foreign-{file}.tflite", COLOURS, SCALINGS[scaling] if scaling else None
    )
    bundle = add_next(FolderStore(store), *make_bundle(graph, "colours", NOW))
    loaded = load_variant(bundle, threads=1)
    assert loaded.variant.output == "probabilities"
    for place, colour in enumerate(np.eye(3, dtype=int) * 255):
        photo = encode(Image.new("RGB", (40, 30), tuple(colour.tolist())))
        pixels = preprocess(photo, loaded.variant.preprocess, Limits())
        confidence = loaded.confidence(pixels)
        # Logits of 4, -4 and -4 before the softmax.
        assert confidence[place] == pytest.approx(0.999, abs=0.02)
        assert confidence.argmax() == place


def test_a_graph_that_takes_floats_asks_for_its_scaling() -> None:
    with pytest.raises(ScalingNeededError, match="--scaling"):
        make_bundle(ForeignGraph(DATA / "foreign-float.tflite", COLOURS), "colours", NOW)


@pytest.mark.parametrize(
    ("labels", "hint"), [(("red", "green"), "background"), (("red",), "3 classes")]
)
def test_labels_that_are_too_few_are_refused_with_both_counts(
    labels: tuple[str, ...], hint: str
) -> None:
    with pytest.raises(BundleError, match=hint):
        make_bundle(ForeignGraph(DATA / "foreign-uint8.tflite", labels), "colours", NOW)


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes((DATA / "foreign-uint8.tflite").read_bytes()[:500])
    for path in (damaged, tmp_path / "notes.txt", tmp_path):
        with pytest.raises(BundleError, match=r"graph|SavedModel"):
            make_bundle(ForeignGraph(path, COLOURS), "colours", NOW)


def test_a_path_that_no_runtime_opens_is_named(tmp_path: Path) -> None:
    odd = tmp_path / "caf\udce9.tflite"
    odd.write_bytes((DATA / "foreign-uint8.tflite").read_bytes())
    (tmp_path / "link.tflite").symlink_to(odd)
    for path in (odd, tmp_path / "link.tflite"):
        with pytest.raises(BundleError, match="not UTF-8; rename it"):
            make_bundle(ForeignGraph(path, COLOURS), "colours", NOW)


def test_labels_are_lines_or_json(tmp_path: Path) -> None:
    files = {
        "a.txt": "red\ngreen\nblue\n",
        "b.txt": "\ufeffred\r\ngreen\r\nblue",
        "c.json": json.dumps(COLOURS),
        "d.json": json.dumps({str(n): name for n, name in enumerate(COLOURS)}),
        "e.json": json.dumps({str(n): [f"n{n}", name] for n, name in enumerate(COLOURS)}),
    }
    for name, text in files.items():
        path = tmp_path / name
        path.write_text(text, "utf-8")
        assert read_labels(path) == list(COLOURS)


@pytest.mark.parametrize("text", ["", "red\n\nblue", "\x00\xff"])
def test_a_file_without_labels_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidParameterError):
        read_labels(path)


@pytest.mark.parametrize("text", ["{", "3", '{"0": 1}', '{"1": "red"}', "[[]]"])
def test_json_that_is_no_list_of_labels_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(InvalidParameterError):
        read_labels(path)


def test_a_label_that_is_there_twice_gets_its_index() -> None:
    assert distinct(["crane", "cat", "crane"]) == ["crane (0)", "cat", "crane (2)"]
