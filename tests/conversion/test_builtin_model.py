"""The shipped int8 graph against the Keras model that it was made of, rebuilt from the wheel."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support import PHOTOS, pixel_quantization

from viewfinder.engines.base import EngineOptions, to_confidence
from viewfinder.engines.litert import LiteRTEngine
from viewfinder.engines.loader import load_variant
from viewfinder.errors import ConversionError, WeightsError
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan
from viewfinder.settings import Limits

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

Photos = Sequence[NDArray[np.uint8]]


@pytest.fixture(scope="module")
def photos() -> Photos:
    """Real photos and their mirror images and halves, through the model's own geometry."""
    spec = scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL).manifest.variant().preprocess
    whole = [preprocess(p.read_bytes(), spec, Limits()) for p in sorted(PHOTOS.glob("*.jpg"))]
    mirrored = [np.ascontiguousarray(photo[:, ::-1]) for photo in whole]
    darker = [(photo * 0.6).astype(np.uint8) for photo in whole]
    return [*whole, *mirrored, *darker]


@pytest.fixture(scope="module")
def keras_model() -> Any:
    from viewfinder.modeling.backbones import BACKBONES
    from viewfinder.modeling.classifier import imagenet_classifier

    return imagenet_classifier(BACKBONES[BUILTIN_MODEL])


@pytest.fixture(scope="module")
def float_graph(keras_model: Any) -> bytes:
    from viewfinder.conversion.litert import to_litert

    return to_litert(keras_model)


def _run(graph: bytes, photos: Photos, folder: Any) -> NDArray[np.float32]:
    path = folder / "graph.tflite"
    path.write_bytes(graph)
    return LiteRTEngine(path, EngineOptions(threads=1)).predict(np.stack(photos))


def _confidence(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.stack([to_confidence(row, output="logits", temperature=1) for row in logits])


def test_the_shipped_int8_graph_agrees_with_keras(keras_model: Any, photos: Photos) -> None:
    shipped = load_variant(scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL), threads=1)
    expected = _confidence(keras_model(np.stack(photos), training=False).numpy())
    got = np.stack([shipped.confidence(photo) for photo in photos])
    top = expected.argmax(axis=1)
    sure = expected.max(axis=1) > 0.5
    assert sure.sum() >= 8
    assert (got.argmax(axis=1) == top)[sure].all()
    assert np.abs(got - expected).max() < 0.15
    assert np.abs(got - expected).sum(axis=1).mean() < 0.2


def test_the_float_graph_is_the_keras_model(
    keras_model: Any, float_graph: bytes, photos: Photos, tmp_path: Any
) -> None:
    expected = keras_model(np.stack(photos), training=False).numpy()
    got = _run(float_graph, photos, tmp_path)
    assert np.abs(got - expected).max() < 1e-3


def test_quantising_keeps_the_contract_and_the_labels(
    float_graph: bytes, photos: Photos, tmp_path: Any
) -> None:
    from viewfinder.conversion.litert import check_contract
    from viewfinder.conversion.quantization import quantize_int8

    small = quantize_int8(float_graph, photos)
    assert len(small) < len(float_graph) / 3.4
    check_contract(small)
    assert (1.0, -128) in pixel_quantization(small)
    expected, got = _run(float_graph, photos, tmp_path), _run(small, photos, tmp_path)
    sure = _confidence(expected).max(axis=1) > 0.5
    assert (got.argmax(axis=1) == expected.argmax(axis=1))[sure].all()
    assert len(np.unique(got[0])) > 900


def test_quantising_without_photos_is_refused(float_graph: bytes) -> None:
    from viewfinder.conversion.quantization import quantize_int8

    with pytest.raises(ConversionError, match="photos"):
        quantize_int8(float_graph, [])


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_of_another_model_are_refused(change: str) -> None:
    from viewfinder.modeling.backbones import BACKBONES
    from viewfinder.modeling.classifier import build_classifier
    from viewfinder.modeling.efficientnet_lite import load_efficientnet
    from viewfinder.modeling.weights import read_checkpoint, wheel_checkpoint

    backbone = BACKBONES[BUILTIN_MODEL]
    tensors = read_checkpoint(wheel_checkpoint(backbone.weights_package))
    if change == "missing":
        del tensors["_blocks.3._bn1.weight"]
    elif change == "extra":
        tensors["_blocks.99._bn1.weight"] = np.zeros(1)
    model = build_classifier(backbone, 10 if change == "shape" else 1000)
    with pytest.raises(WeightsError):
        load_efficientnet(model, tensors)
