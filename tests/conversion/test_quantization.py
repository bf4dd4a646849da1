"""A float graph to float16, dynamic range and int8."""

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.conversion.small import SIDE, agreement, classifier, feature_maps, pictures, scores

from viewfinder.errors import ConversionError

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def graph() -> bytes:
    from viewfinder.conversion.litert import to_litert

    return to_litert(classifier())


@pytest.mark.parametrize(("recipe", "share"), [("to_float16", 0.5), ("to_dynamic", 0.25)])
def test_smaller_weights_keep_the_contract_and_the_answers(
    graph: bytes, recipe: str, share: float
) -> None:
    from viewfinder.conversion import quantization
    from viewfinder.conversion.litert import check_contract

    small = getattr(quantization, recipe)(graph)
    check_contract(small)
    assert len(small) < len(graph) * share * 1.2
    photos = pictures(40)
    assert agreement(scores(small, photos), scores(graph, photos)) >= 0.9


def test_a_layer_that_is_kept_gives_floats_and_the_others_int8(graph: bytes) -> None:
    from viewfinder.conversion.layers import layers_of
    from viewfinder.conversion.litert import check_contract
    from viewfinder.conversion.quantization import calibrate, quantize_calibrated, quantize_int8

    photos = list(pictures(8))
    ranges = calibrate(graph, photos)
    plain = quantize_calibrated(graph, ranges)
    assert plain == quantize_int8(graph, photos)
    kept = next(layer.name for layer in layers_of(graph) if layer.kind == "DEPTHWISE_CONV_2D")
    mixed = quantize_calibrated(graph, ranges, keep_float=[kept])
    check_contract(mixed)
    before, after = _dtypes(plain), _dtypes(mixed)
    assert (before[kept], after[kept]) == (np.int8, np.float32)
    assert sum(dtype is np.int8 for dtype in after.values()) > 5


@pytest.mark.parametrize("kind", ["float32", "float16", "dynamic", "int8", "int8-mixed"])
def test_a_feature_map_beside_the_logits_changes_none_of_them(kind: str) -> None:
    from viewfinder.conversion.layers import layers_of
    from viewfinder.conversion.litert import check_contract, to_litert
    from viewfinder.conversion.outputs import scores_only
    from viewfinder.conversion.quantization import (
        calibrate,
        quantize_calibrated,
        quantize_int8,
        to_dynamic,
        to_float16,
    )

    photos, model = pictures(8), classifier()

    def mixed(graph: bytes) -> bytes:
        kept = next(layer.name for layer in layers_of(graph) if layer.kind == "DEPTHWISE_CONV_2D")
        ranges = calibrate(graph, list(photos))
        return quantize_calibrated(graph, ranges, keep_float=[kept])

    recipes: dict[str, Callable[[bytes], bytes]] = {
        "float32": lambda graph: graph,
        "float16": to_float16,
        "dynamic": to_dynamic,
        "int8": lambda graph: quantize_int8(graph, list(photos)),
        "int8-mixed": mixed,
    }
    make = recipes[kind]
    alone, both = make(to_litert(model)), make(to_litert(model, pool="pool"))
    check_contract(both)
    expected = scores(alone, photos)
    for graph in (both, scores_only(both)):
        assert np.array_equal(scores(graph, photos), expected)
    kernel, bias = model.get_layer("logits").get_weights()
    made = feature_maps(both, photos).mean(axis=(1, 2)) @ kernel + bias
    assert np.corrcoef(made.ravel(), expected.ravel())[0, 1] > 0.98


def test_without_its_feature_map_a_graph_has_one_output_by_its_name() -> None:
    from ai_edge_litert.interpreter import Interpreter

    from viewfinder.conversion.litert import to_litert
    from viewfinder.conversion.outputs import scores_only

    both = to_litert(classifier(), pool="pool")
    graph = scores_only(both)
    assert len(graph) == len(both)
    interpreter = Interpreter(model_content=graph, num_threads=1)
    (signature,) = interpreter.get_signature_list().values()
    assert signature == {"inputs": ["image"], "outputs": ["logits"]}
    assert len(interpreter.get_output_details()) == 1
    alone = to_litert(classifier())
    assert scores_only(alone) == alone


def test_a_layer_that_is_not_there_cannot_be_kept(graph: bytes) -> None:
    from viewfinder.conversion.quantization import calibrate, quantize_calibrated

    ranges = calibrate(graph, list(pictures(2)))
    with pytest.raises(ConversionError, match="no layer nowhere"):
        quantize_calibrated(graph, ranges, keep_float=["nowhere"])


def test_what_litert_lacks_is_named() -> None:
    from viewfinder.conversion.litert import to_litert
    from viewfinder.conversion.quantization import quantize_int8, to_dynamic, to_float16

    model = classifier(odd=True)
    with pytest.raises(ConversionError, match="lacks the operation Sinh"):
        to_litert(model)
    flexible = _with_tensorflow_operations(model)
    for convert in (to_float16, to_dynamic, lambda g: quantize_int8(g, list(pictures(2)))):
        with pytest.raises(ConversionError, match="the operation FlexSinh"):
            convert(flexible)


def test_a_conversion_leaves_the_root_logger_as_it_was(
    graph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from viewfinder.conversion.quantization import to_dynamic

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    to_dynamic(graph)
    assert logging.getLogger().handlers == []


def _dtypes(graph: bytes) -> dict[str, Any]:
    from ai_edge_litert.interpreter import Interpreter

    details = Interpreter(model_content=graph, num_threads=1).get_tensor_details()
    return {detail["name"]: detail["dtype"] for detail in details}


def _with_tensorflow_operations(model: Any) -> bytes:
    import keras
    import tensorflow as tf

    from viewfinder.conversion.saved_model import to_saved_model
    from viewfinder.conversion.terminal import quiet

    image = keras.Input(batch_shape=(1, SIDE, SIDE, 3), dtype="uint8", name="image")
    with tempfile.TemporaryDirectory() as folder, quiet():
        to_saved_model(keras.Model(image, model(image)), Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS,
            tf.lite.OpsSet.SELECT_TF_OPS,
        ]
        return bytes(converter.convert())
