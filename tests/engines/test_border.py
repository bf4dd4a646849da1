"""Pixels to what a graph takes, and what it gives to scores."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewfinder.engines.base import EngineOptions
from viewfinder.engines.border import (
    InputBorder,
    Quantization,
    count_classes,
    in_parts,
    one_each,
    to_scores,
)
from viewfinder.engines.litert import LiteRTEngine
from viewfinder.errors import BundleError
from viewfinder.registry.manifest import Scaling

SCALING = Scaling(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)


def test_a_native_graph_gets_its_pixels_untouched() -> None:
    border = InputBorder.of([None, 4, 5, 3], np.uint8, None)
    assert border.encode(IMAGES) is IMAGES


def test_pixels_are_scaled_by_channel() -> None:
    scaling = Scaling(mean=(1, 2, 3), std=(1, 2, 4))
    border = InputBorder.of([1, 4, 5, 3], np.float32, scaling)
    encoded = border.encode(np.full((1, 4, 5, 3), 11, np.uint8))
    assert encoded.dtype == np.float32
    assert encoded[0, 0, 0].tolist() == [10, 4.5, 2]


def test_channels_first() -> None:
    border = InputBorder.of([None, 3, 4, 5], np.float32, Scaling(mean=(0, 0, 0), std=(1, 1, 1)))
    assert border.input_shape == (4, 5, 3)
    encoded = border.encode(IMAGES)
    assert encoded.flags.c_contiguous
    assert (encoded == IMAGES.transpose(0, 3, 1, 2)).all()


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_whole_numbers_stand_for_scaled_values(dtype: Any) -> None:
    zero_point = 0 if dtype is np.int8 else 128
    border = InputBorder.of([1, 4, 5, 3], dtype, SCALING, Quantization(1 / 128, zero_point))
    black_to_white = np.array([0, 128, 255], np.uint8).reshape(1, 1, 3, 1) * np.ones(3, np.uint8)
    encoded = border.encode(black_to_white)
    assert encoded.dtype == dtype
    low, middle, high = encoded[0, 0, :, 0].astype(int) - zero_point
    assert (low, middle, high) == (-128, 1, 127)


@pytest.mark.parametrize(
    ("shape", "dtype", "scaling", "reason"),
    [
        ([1, 4, 5], np.uint8, None, r"the shape \[1, 4, 5\]"),
        ([1, 4, 5, 1], np.uint8, None, r"the shape \[1, 4, 5, 1\]"),
        ([None, None, None, 3], np.uint8, None, "no fixed height"),
        ([1, 4, 5, 3], np.int64, None, "int64"),
        ([1, 4, 5, 3], np.float32, None, "no scaling"),
        ([1, 4, 5, 3], np.int8, SCALING, "what they stand for"),
    ],
)
def test_inputs_that_are_no_images_are_refused(
    shape: list[int | None], dtype: Any, scaling: Scaling | None, reason: str
) -> None:
    with pytest.raises(BundleError, match=reason):
        InputBorder.of(shape, dtype, scaling)


def test_a_graph_has_one_input_and_one_output() -> None:
    assert one_each(["image"], {"scores": 1}.items()) == ("image", ("scores", 1))
    for inputs, outputs in (([], ["a"]), (["a"], []), (["a", "b"], ["a"]), (["a"], ["a", "b"])):
        with pytest.raises(BundleError, match="exactly one input and one output"):
            one_each(inputs, outputs)


@pytest.mark.parametrize(
    ("shape", "classes"), [([1, 10], 10), ([None, 10, 1, 1], 10), ([1, 1], 1), ([-1, 2], 2)]
)
def test_classes_are_counted(shape: list[int | None], classes: int) -> None:
    assert count_classes(shape) == classes


@pytest.mark.parametrize("shape", [[], [10], [1, 10, 7], [1, None], [1, -1]])
def test_outputs_that_are_no_scores_are_refused(shape: list[int | None]) -> None:
    with pytest.raises(BundleError, match="output has the shape"):
        count_classes(shape)


def test_scores_are_decoded_and_the_callers_own() -> None:
    whole = np.array([[-128, 0, 127]], np.int8)
    assert to_scores(whole, 3, Quantization(0.5, 1)).tolist() == [[-64.5, -0.5, 63]]
    floats = np.ones((1, 3, 1, 1), np.float32)
    scores = to_scores(floats, 3)
    floats[:] = 0
    assert scores.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(("fill", "sizes"), [(True, [2, 2, 2]), (False, [2, 2, 1])])
def test_a_long_batch_goes_in_parts(fill: bool, sizes: list[int]) -> None:
    seen = []

    def run(part: np.ndarray[Any, Any]) -> Any:
        seen.append(len(part))
        return part.reshape(len(part), -1)[:, :1].astype(np.float32)

    batch = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1)
    assert in_parts(run, batch, 2, fill=fill).tolist() == [[0], [1], [2], [3], [4]]
    assert seen == sizes


@pytest.mark.train
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:Statistics:UserWarning")
@pytest.mark.parametrize("kind", ["int8", "uint8"])
def test_quantisation_is_that_of_litert(kind: str, tmp_path: Path) -> None:
    """The same graph with whole numbers and with floats at its borders: LiteRT converts there."""
    import tensorflow as tf

    pixels = np.arange(240, dtype=np.uint8).reshape(5, 4, 4, 3)
    scaled = ((pixels.astype(np.float32) - 127.5) / 127.5).astype(np.float32)

    def mean(image: Any) -> Any:
        return tf.reshape(tf.nn.avg_pool2d(image, 4, 4, "VALID"), [1, 3])

    image = tf.TensorSpec((1, 4, 4, 3), tf.float32)
    graph = tf.function(mean, input_signature=[image]).get_concrete_function()

    def convert(border: Any) -> LiteRTEngine:
        converter = tf.lite.TFLiteConverter.from_concrete_functions([graph])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[np.newaxis]] for image in scaled)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = border
        path = tmp_path / f"{border.name}.tflite"
        path.write_bytes(converter.convert())
        return LiteRTEngine(path, EngineOptions(threads=1, scaling=SCALING))

    expected = convert(tf.float32).predict(pixels)
    whole = convert(getattr(tf, kind))
    assert whole._border.dtype == np.dtype(kind)
    assert whole.predict(pixels) == pytest.approx(expected, abs=1e-6)
    assert expected == pytest.approx(scaled.mean(axis=(1, 2)), abs=0.02)
