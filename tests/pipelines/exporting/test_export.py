"""Graphs for somewhere else: which one, whole or not at all, and an example that agrees."""

import json
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support import DATA, PHOTOS, fake_bundle

from viewfinder.engines.base import EngineOptions, to_confidence
from viewfinder.engines.loader import engine_module, load_variant
from viewfinder.errors import BundleError, ConflictError, ConversionError, InvalidParameterError
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.pipelines.exporting import export
from viewfinder.pipelines.exporting.export import Exported, export_graph
from viewfinder.pipelines.foreign import SCALINGS, ForeignGraph, make_bundle
from viewfinder.pipelines.variants.graphs import Format
from viewfinder.registry.bundle import Bundle, describe, write_bundle
from viewfinder.registry.manifest import Calibration, Golden, Manifest, Variant
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan
from viewfinder.settings import Limits

# The converters' own.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Statistics:UserWarning"
)

SIDE = 64
CLASSES = 5
AGREES = 0.02
_ROTATED = 6
_ORIENTATION = 0x0112


@pytest.fixture
def builtin() -> Bundle:
    return scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL)


def _photo(folder: Path, *, turned: bool) -> Path:
    image = Image.open(PHOTOS / "espresso.jpg").convert("RGB").resize((640, 400))
    exif = Image.Exif()
    if turned:
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[_ORIENTATION] = _ROTATED
    path = folder / "photo.jpg"
    image.save(path, quality=95, exif=exif)
    return path


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A photo that is not square and lies on its side, with EXIF to say so."""
    return _photo(tmp_path, turned=True)


@pytest.fixture(params=[False, True], ids=["wide", "turned"])
def photo(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The same, and one that stands upright."""
    return _photo(tmp_path, turned=request.param)


def _export(bundle: Bundle, kind: Format, folder: Path, variant: str | None = None) -> Exported:
    return export_graph(bundle, kind, variant=variant, with_metadata=False, folder=folder)


def _described(bundle: Bundle, kind: Format, folder: Path) -> Exported:
    return export_graph(bundle, kind, variant=None, with_metadata=True, folder=folder)


def _run(folder: Path, photo: Path, home: Path) -> list[tuple[str, float]]:
    """What the example prints, run from elsewhere by an interpreter that has no Viewfinder."""
    # Its maker's way to forbid OpenVINO to tell who imports it.
    (home / "intel").mkdir(exist_ok=True)
    (home / "intel" / "openvino_telemetry").write_text("0")
    done = subprocess.run(
        [sys.executable, folder / "example.py", photo],
        env={**os.environ, "HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    return [(label, float(percent.rstrip("%")) / 100) for label, percent in lines]


def _check_agrees(said: list[tuple[str, float]], confidence: Any, labels: list[str]) -> None:
    assert len(said) == 3
    best = int(confidence.argmax())
    assert said[0][0] == labels[best]
    for label, given in said:
        assert abs(confidence[labels.index(label)] - given) < AGREES
    assert confidence[best] - confidence.min() > 5 * AGREES  # or any answer would agree


def _labels(bundle: Bundle) -> list[str]:
    return [label.name for label in bundle.manifest.labels]


def _ask(bundle: Bundle, photo: Path) -> Any:
    loaded = load_variant(bundle, threads=1)
    try:
        pixels = preprocess(photo.read_bytes(), loaded.variant.preprocess, Limits())
        return loaded.confidence(pixels)
    finally:
        loaded.engine.close()


# Which graph


def _bundle_of(store: Path, recommended: str, *variants: tuple[str, str, float | None]) -> Bundle:
    """A bundle whose graphs hold their own names: name, format, accuracy."""
    files: dict[str, bytes] = {}
    described = []
    for name, kind, accuracy in variants:
        main, assets = {
            "litert": (f"model.{name}.tflite", []),
            "onnx": (f"{name}.onnx", [f"{name}.onnx.data"]),
            "openvino": (f"ov/{name}.xml", [f"ov/{name}.bin"]),
            "saved_model": (
                f"{name}/saved_model.pb",
                [f"{name}/variables/variables.index", f"{name}/variables/variables.data"],
            ),
        }[kind]
        files |= {path: f"{path} of {name}".encode() for path in (main, *assets)}
        described.append(
            Variant.model_validate(
                {
                    "name": name,
                    "format": kind,
                    "engine": "tensorflow" if kind == "saved_model" else kind,
                    "file": describe(main, files[main]),
                    "assets": tuple(describe(path, files[path]) for path in assets),
                    "preprocess": PreprocessSpec(width=8, height=8),
                    "golden": Golden(tolerance=0.1),
                    "accuracy": accuracy,
                }
            )
        )
    manifest = fake_bundle(store, "shape").manifest.model_copy(
        update={"name": "shoes", "variants": tuple(described), "recommended": recommended}
    )
    manifest = Manifest.model_validate(manifest.model_dump())
    return write_bundle(store / "shoes" / "1", manifest, files)


MANY = (
    ("int8", "litert", 0.9),
    ("dynamic", "litert", 0.92),
    ("float16", "litert", 0.92),
    ("float32", "litert", 0.92),
    ("onnx", "onnx", None),
    ("onnx-int8", "onnx", 0.9),
)


@pytest.mark.parametrize(
    ("recommended", "kind", "named", "expected"),
    [
        ("int8", "litert", None, "int8"),  # recommended, though not the most accurate
        ("int8", "litert", "dynamic", "dynamic"),
        ("onnx", "litert", None, "float32"),  # of three that are as accurate, the exact one
        ("int8", "onnx", None, "onnx-int8"),  # the one that has been measured
    ],
)
def test_which_graph_is_taken(
    tmp_path: Path, recommended: str, kind: Format, named: str | None, expected: str
) -> None:
    bundle = _bundle_of(tmp_path / "models", recommended, *MANY)
    exported = _export(bundle, kind, tmp_path / "out", named)
    assert (exported.variant, exported.made) == (expected, False)
    graph = tmp_path / "out" / ("model.tflite" if kind == "litert" else "model.onnx")
    assert graph.read_text().endswith(f" of {expected}")


@pytest.mark.parametrize(
    ("named", "says"),
    [("best", r"no variant 'best'; it has int8 \(litert\)"), ("onnx", "is onnx, not litert")],
)
def test_a_variant_that_does_not_fit_is_refused(tmp_path: Path, named: str, says: str) -> None:
    bundle = _bundle_of(tmp_path / "models", "int8", *MANY)
    with pytest.raises(InvalidParameterError, match=says):
        _export(bundle, "litert", tmp_path / "out", named)
    assert not (tmp_path / "out").exists()


def test_a_foreign_model_is_exported_only_as_what_it_is(tmp_path: Path) -> None:
    bundle = _bundle_of(tmp_path / "models", "int8", *MANY)
    with pytest.raises(ConversionError, match="only as litert or onnx, which it holds"):
        _export(bundle, "openvino", tmp_path / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "models"]


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        ("litert", ["model.tflite"]),
        ("onnx", ["model.onnx", "x.onnx.data"]),
        ("openvino", ["model.bin", "model.xml"]),
        (
            "saved_model",
            [
                "saved_model/saved_model.pb",
                "saved_model/variables/variables.data",
                "saved_model/variables/variables.index",
            ],
        ),
    ],
)
def test_without_metadata_the_graph_comes_alone(
    tmp_path: Path, kind: Format, files: list[str]
) -> None:
    bundle = _bundle_of(tmp_path / "models", "x", ("x", kind, None))
    exported = _export(bundle, kind, tmp_path / "deep" / "out")
    assert sorted(exported.files) == files
    found = {
        path.relative_to(exported.folder).as_posix(): path.stat().st_size
        for path in exported.folder.rglob("*")
        if path.is_file()
    }
    assert found == exported.files


# Whole or not at all


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = _bundle_of(tmp_path / "models", "int8", *MANY)
    out = tmp_path / "out"
    out.mkdir()
    monkeypatch.chdir(out)
    with pytest.raises(ConflictError, match="not the one you are in"):
        _export(bundle, "litert", Path())
    _export(bundle, "litert", out.parent / "empty")
    monkeypatch.chdir(tmp_path)
    _export(bundle, "litert", out)  # an empty folder is as good as none
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for taken in ("out", "file", "link"):
        with pytest.raises(ConflictError, match="nothing is overwritten"):
            _export(bundle, "onnx", tmp_path / taken)
    assert [path.name for path in out.iterdir()] == ["model.tflite"]
    with pytest.raises(ConflictError, match="by its own name"):
        _export(bundle, "litert", tmp_path / "new" / "..")
    assert not (tmp_path / "new").exists()


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    bundle = _bundle_of(tmp_path / "models", "x", ("x", "openvino", None))
    (bundle.folder / "ov" / "x.bin").write_text("damaged")
    with pytest.raises(BundleError, match="checksum"):
        _export(bundle, "openvino", tmp_path / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "models"]


# With metadata


def test_all_that_running_it_needs_comes_with_it(tmp_path: Path, builtin: Bundle) -> None:
    exported = _described(builtin, "litert", tmp_path / "out")
    assert set(exported.files) == {
        "model.tflite",
        "labels.txt",
        "geometry.json",
        "example.py",
        "example.jpg",
        "README.md",
    }
    folder = exported.folder
    assert (folder / "labels.txt").read_text("utf-8").splitlines() == _labels(builtin)
    with zipfile.ZipFile(folder / "model.tflite") as archive:
        assert archive.read("labels.txt") == (folder / "labels.txt").read_bytes()
    facts = json.loads((folder / "geometry.json").read_text())
    assert facts["model"] == BUILTIN_MODEL
    assert facts["variant"] == "int8"
    assert (facts["width"], facts["crop_fraction"], facts["temperature"]) == (224, 0.875, 1)
    readme = (folder / "README.md").read_text()
    assert "Apache-2.0" in readme
    assert "python example.py example.jpg" in readme
    code = (folder / "example.py").read_text().partition("here =")[2]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    said = _run(folder, folder / "example.jpg", tmp_path)
    assert said[0][0] == "Egyptian cat"


@pytest.mark.parametrize(
    "geometry",
    [
        {"crop_fraction": 0.7},
        {"resize": "stretch", "interpolation": "bicubic"},
        {"resize": "pad", "channels": "bgr"},
    ],
    ids=["crop", "stretch", "pad"],
)
def test_the_example_answers_as_viewfinder_does(
    tmp_path: Path, builtin: Bundle, photo: Path, geometry: dict[str, Any]
) -> None:
    given = builtin.manifest.variant()
    variant = given.model_copy(
        update={
            "preprocess": PreprocessSpec(width=224, height=224, **geometry),
            "calibration": Calibration(temperature=0.7),
            "golden": Golden(tolerance=0.1),
        }
    )
    manifest = builtin.manifest.model_copy(update={"variants": (variant,)})
    graph = {given.file.path: builtin.verified(given.file).read_bytes()}
    bundle = write_bundle(tmp_path / "models" / BUILTIN_MODEL / "1", manifest, graph)
    exported = _described(bundle, "litert", tmp_path / "out")
    assert "photo.jpg" in (exported.folder / "README.md").read_text()  # there is no sample
    said = _run(exported.folder, photo, tmp_path)
    _check_agrees(said, _ask(bundle, photo), _labels(bundle))


@pytest.mark.parametrize(("graph", "scaling"), [("foreign-float", "-1-1"), ("foreign-uint8", None)])
def test_a_foreign_graph_has_an_example_too(
    tmp_path: Path, photo: Path, graph: str, scaling: str | None
) -> None:
    described = ForeignGraph(
        DATA / f"{graph}.tflite", ["red", "green", "blue"], SCALINGS[scaling] if scaling else None
    )
    manifest, files = make_bundle(described, "foreign", datetime.now(UTC))
    bundle = write_bundle(tmp_path / "models" / "foreign" / "1", manifest, files)
    exported = _described(bundle, "litert", tmp_path / "out")
    said = _run(exported.folder, photo, tmp_path)
    _check_agrees(said, _ask(bundle, photo), _labels(bundle))
    # Somebody else has made it.
    assert b"Viewfinder" not in (exported.folder / "model.tflite").read_bytes()


# Made from the weights


@pytest.fixture(scope="module")
def tiny_model() -> Any:
    """A classifier of the contract's borders, its weights made up."""
    import keras

    keras.utils.set_random_seed(3)
    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    edges = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(scaled)
    means = keras.layers.GlobalAveragePooling2D()(edges)
    return keras.Model(pixels, keras.layers.Dense(CLASSES, name="logits")(means))


@pytest.fixture
def made(
    tmp_path: Path, builtin: Bundle, tiny_model: Any, monkeypatch: pytest.MonkeyPatch
) -> Bundle:
    """A version of that model, none of whose variants can be exported: each has to be made."""
    monkeypatch.setattr(export, "original_model", lambda _: tiny_model)
    fake = fake_bundle(tmp_path / "fakes", classes=CLASSES)
    variant = fake.manifest.variant().model_copy(
        update={
            "preprocess": PreprocessSpec(width=SIDE, height=SIDE, crop_fraction=0.875),
            "calibration": Calibration(temperature=0.5),
        }
    )
    manifest = builtin.manifest.model_copy(
        update={
            "labels": builtin.manifest.labels[:CLASSES],
            "variants": (variant,),
            "recommended": variant.name,
        }
    )
    return write_bundle(tmp_path / "models" / BUILTIN_MODEL / "1", manifest, fake.contents())


@pytest.mark.train
@pytest.mark.parametrize(
    ("kind", "graph"),
    [
        ("litert", "model.tflite"),
        pytest.param("onnx", "model.onnx", marks=pytest.mark.onnx),
        pytest.param("openvino", "model.xml", marks=pytest.mark.openvino),
        pytest.param("saved_model", "saved_model/saved_model.pb", marks=pytest.mark.tensorflow),
    ],
)
def test_a_graph_that_is_made_agrees_with_its_example(
    tmp_path: Path, made: Bundle, kind: Format, graph: str, turned: Path
) -> None:
    exported = _described(made, kind, tmp_path / "out")
    assert (exported.variant, exported.made) == ("float32", True)
    engine = engine_module("tensorflow" if kind == "saved_model" else kind)
    running = engine.load(exported.folder / graph, EngineOptions(threads=1))
    spec = made.manifest.variant().preprocess
    pixels = preprocess(turned.read_bytes(), spec, Limits())
    scores = running.predict(pixels[np.newaxis])
    running.close()
    confidence = to_confidence(scores, output="logits", temperature=0.5)[0]
    _check_agrees(_run(exported.folder, turned, tmp_path), confidence, _labels(made))


@pytest.mark.train
@pytest.mark.tensorflow
def test_a_graph_is_made_from_the_weights_of_the_version(tmp_path: Path, builtin: Bundle) -> None:
    exported = _export(builtin, "saved_model", tmp_path / "out")
    assert (exported.variant, exported.made) == ("float32", True)
    graph = exported.folder / "saved_model" / "saved_model.pb"
    running = engine_module("tensorflow").load(graph, EngineOptions(threads=1))
    spec = builtin.manifest.variant().preprocess
    pixels = preprocess((PHOTOS / "espresso.jpg").read_bytes(), spec, Limits())
    best = int(running.predict(pixels[np.newaxis])[0].argmax())
    running.close()
    assert _labels(builtin)[best] == "espresso"
