"""Keras to LiteRT, and a float LiteRT graph to int8.

The int8 recipe keeps what a caller relies on out of quantisation: the input stays uint8 pixels,
and the classifier layer has int8 weights but a float output. An int8 softmax has steps of 1/256
(its rows summed to 0.78-0.996 when measured), and int8 logits are hardly better.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from viewfinder.conversion.saved_model import to_saved_model
from viewfinder.conversion.terminal import quiet
from viewfinder.errors import ConversionError, MissingExtraError

_INPUT = "image"


def to_litert(model: Any) -> bytes:
    """Convert a classifier to a float32 LiteRT graph.

    Args:
        model: A `keras.Model` of uint8 `[N, H, W, 3]` to float32 `[N, C]` logits.

    Returns:
        The flatbuffer, for a batch of one image.

    Raises:
        MissingExtraError: TensorFlow is not installed.
    """
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        raise MissingExtraError("Converting a Keras model", "train") from error

    image = keras.Input(batch_shape=(1, *model.input_shape[1:]), dtype="uint8", name=_INPUT)
    one_image = keras.Model(image, model(image, training=False), name="classifier")
    # `from_keras_model` traces the model seven times on its way to the same graph, in twice the
    # time.
    with tempfile.TemporaryDirectory() as folder, quiet():
        to_saved_model(one_image, Path(folder))
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


def quantize_int8(graph: bytes, photos: Sequence[NDArray[np.uint8]]) -> bytes:
    """Quantise a float graph to int8 activations and per-channel int8 weights.

    The calibration keeps a moving average of each tensor's range over the photos. An all-black and
    an all-white image set the range of the pixels, so that it is exactly 0-255 whatever the photos
    hold; they do not enter the averages, where they would widen the range of every layer (see
    docs/decisions/0003).

    Args:
        graph: What `to_litert` returned.
        photos: Representative images, uint8 `[H, W, 3]`, through the serving geometry.

    Returns:
        The flatbuffer: uint8 in, float32 logits out.

    Raises:
        ConversionError: There are no photos, the graph cannot be quantised, or what came of it
            breaks the contract.
        MissingExtraError: litert-quantizer is not installed.
    """
    if not photos:
        raise ConversionError("int8 needs representative photos to calibrate with; none were given")
    try:
        with quiet():
            quantized = _quantize(graph, photos)
    except MissingExtraError:
        raise
    except Exception as error:  # the quantiser raises whatever an operation that it lacks leads to
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ConversionError(f"the graph cannot be quantised: {why}") from error
    check_contract(quantized)
    return quantized


def _quantize(graph: bytes, photos: Sequence[NDArray[np.uint8]]) -> bytes:
    ranges = _calibrate(graph, photos)
    black = _calibrate(graph, [np.zeros_like(photos[0])])
    white = _calibrate(graph, [np.full_like(photos[0], 255)])
    for name in _pixel_tensors(graph, photos[0].shape) & ranges.keys() & black.keys():
        ranges[name] = {
            "min": np.minimum(black[name]["min"], white[name]["min"]),
            "max": np.maximum(black[name]["max"], white[name]["max"]),
        }
    return bytes(_recipe(graph).quantize(ranges, enable_progress_report=False).quantized_model)


def check_contract(graph: bytes) -> None:
    """Refuse a graph that is not uint8 pixels in, float32 scores out.

    Raises:
        ConversionError: It is not, or its input is quantised by other than scale 1, zero point 0.
    """
    interpreter = Interpreter(model_content=graph, num_threads=1)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ConversionError("a graph has one input and one output")
    if inputs[0]["dtype"] is not np.uint8 or inputs[0]["quantization"] not in {(0.0, 0), (1.0, 0)}:
        raise ConversionError("the input must be uint8 pixels with scale 1 and zero point 0")
    if outputs[0]["dtype"] is not np.float32:
        raise ConversionError("the output must be float32")


def _recipe(graph: bytes) -> Any:
    try:
        from litert_quantizer import quantizer
        from litert_quantizer.qtyping import TFLOperationName as Operation
    except ImportError as error:
        raise MissingExtraError("int8 quantisation", "train") from error
    recipe = quantizer.Quantizer(graph)
    recipe.add_static_config(
        ".*", Operation.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    recipe.add_dynamic_config(".*", Operation.FULLY_CONNECTED, num_bits=8)
    for border in (Operation.INPUT, Operation.OUTPUT):
        recipe.update_quantization_recipe(
            ".*", border, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE
        )
    return recipe


def _calibrate(graph: bytes, photos: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """Each tensor's range by its name."""
    samples = [{_INPUT: photo[np.newaxis]} for photo in photos]
    ranges: dict[str, Any] = _recipe(graph).calibrate({_signature(graph): samples}, num_threads=2)
    return ranges


def _signature(graph: bytes) -> str:
    (name,) = Interpreter(model_content=graph, num_threads=1).get_signature_list()
    return str(name)


def _pixel_tensors(graph: bytes, shape: tuple[int, ...]) -> set[str]:
    """The tensors with a value for each value of the input: its cast and its scaling."""
    details = Interpreter(model_content=graph, num_threads=1).get_tensor_details()
    return {str(d["name"]) for d in details if tuple(d["shape"]) == (1, *shape)}
