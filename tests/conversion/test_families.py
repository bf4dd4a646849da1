"""Backbones of keras.applications through the converters."""

from pathlib import Path

import numpy as np
import pytest

from viewfinder.engines.base import EngineOptions
from viewfinder.engines.litert import LiteRTEngine

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def test_litert_gives_the_logits_of_keras_and_int8_keeps_the_contract(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs the extra train")
    from tests.modeling.graphs import random_classifier, random_pixels, small

    from viewfinder.conversion.litert import check_contract, to_litert
    from viewfinder.conversion.quantization import quantize_int8

    model = random_classifier(small("mobilenet-v3-small"))
    photos = random_pixels(3)
    graph = to_litert(model)
    (tmp_path / "x.tflite").write_bytes(graph)
    got = LiteRTEngine(tmp_path / "x.tflite", EngineOptions(threads=1)).predict(photos)
    assert np.abs(got - model(photos, training=False).numpy()).max() < 1e-3

    quantized = quantize_int8(graph, list(photos))
    check_contract(quantized)
    assert len(quantized) < len(graph) / 2.5


@pytest.mark.onnx
def test_a_backbone_that_scales_inside_has_one_input_in_every_format(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs the extra train")
    from tests.modeling.graphs import random_pixels, small

    from viewfinder.conversion.onnx import to_onnx
    from viewfinder.conversion.saved_model import to_saved_model
    from viewfinder.engines import onnx, tensorflow
    from viewfinder.modeling.classifier import build_classifier

    model = build_classifier(small("efficientnet-b0"), 5)
    photos, options = random_pixels(2), EngineOptions(threads=1)
    expected = model(photos, training=False).numpy()
    to_saved_model(model, tmp_path)
    (tmp_path / "x.onnx").write_bytes(to_onnx(model))
    for engine in (
        tensorflow.load(tmp_path / "saved_model.pb", options),
        onnx.load(tmp_path / "x.onnx", options),
    ):
        assert np.abs(engine.predict(photos) - expected).max() < 1e-3
