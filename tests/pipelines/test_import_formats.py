"""Graphs of every format, as their own makers write them, by one command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support import PHOTOS, run_command

# The converters' own.
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore:Statistics:UserWarning"
)

SIDE = 96
CLASSES = 12


@pytest.fixture(scope="module")
def mobilenet() -> Any:
    """A small MobileNetV2 for pixels from -1 to 1, its weights made up."""
    import keras

    keras.utils.set_random_seed(5)
    return keras.applications.MobileNetV2(
        (SIDE, SIDE, 3), alpha=0.35, weights=None, classes=CLASSES
    )


def _expected(model: Any) -> str:
    photo = Image.open(PHOTOS / "espresso.jpg").convert("RGB").resize((SIDE, SIDE))
    scores = model(np.asarray(photo, np.float32)[np.newaxis] / 127.5 - 1).numpy()[0]
    return f"class-{scores.argmax()}"


def _import(graph: Path, home: Path, *options: str) -> None:
    labels = home / "labels.txt"
    labels.write_text("".join(f"class-{n}\n" for n in range(CLASSES)))
    done = run_command(
        "models",
        "import",
        graph,
        "--labels",
        labels,
        "--name",
        "foreign",
        "--resize",
        "stretch",
        *options,
        home=home,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def _answer(home: Path) -> Any:
    done = run_command(
        "classify",
        PHOTOS / "espresso.jpg",
        "--model",
        "foreign",
        "--json",
        home=home,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.train
def test_a_uint8_mobilenet_with_its_labels(mobilenet: Any, tmp_path: Path) -> None:
    import tensorflow as tf

    def photos() -> Iterator[list[np.ndarray[Any, Any]]]:
        for path in PHOTOS.glob("*.jpg"):
            photo = Image.open(path).convert("RGB").resize((SIDE, SIDE))
            yield [np.asarray(photo, np.float32)[np.newaxis] / 127.5 - 1]

    converter = tf.lite.TFLiteConverter.from_keras_model(mobilenet)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = photos
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.uint8
    converter.inference_output_type = tf.uint8
    graph = tmp_path / "mobilenet_v2.tflite"
    graph.write_bytes(converter.convert())
    _import(graph, tmp_path)
    answer = _answer(tmp_path)
    assert answer["model"] == {"name": "foreign", "version": 1, "variant": "imported"}
    assert 0.05 < answer["confidence"] < 0.5  # the weights are made up: near one in twelve


@pytest.mark.train
@pytest.mark.onnx
def test_onnx(mobilenet: Any, tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    mobilenet.export(graph, format="onnx", verbose=False)
    _import(graph, tmp_path, "--scaling=-1-1")
    assert _answer(tmp_path)["class"] == _expected(mobilenet)


@pytest.mark.train
@pytest.mark.tensorflow
def test_a_saved_model(mobilenet: Any, tmp_path: Path) -> None:
    graph = tmp_path / "saved"
    mobilenet.export(graph, format="tf_saved_model", verbose=False)
    _import(graph, tmp_path, "--scaling=-1-1")
    assert _answer(tmp_path)["class"] == _expected(mobilenet)


@pytest.mark.train
@pytest.mark.openvino
def test_openvino(mobilenet: Any, tmp_path: Path) -> None:
    import keras

    from viewfinder.conversion.openvino import to_openvino

    pixels = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="image")
    scaled = keras.layers.Rescaling(1 / 127.5, -1)(pixels)
    graph = tmp_path / "model.xml"
    to_openvino(keras.Model(pixels, mobilenet(scaled)), graph)
    _import(graph, tmp_path)
    assert _answer(tmp_path)["class"] == _expected(mobilenet)
