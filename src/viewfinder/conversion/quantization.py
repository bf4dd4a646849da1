"""A float LiteRT graph to smaller ones: float16 weights, int8 weights, or int8 throughout.

Each recipe keeps what a caller relies on: the input stays uint8 pixels, the output float32 logits.
In int8, the classifier layer has int8 weights but a float output: an int8 softmax has steps of
1/256 (its rows summed to 0.78-0.996 when measured), and int8 logits are hardly better.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from viewfinder.conversion.layers import Layer, layers_of
from viewfinder.conversion.litert import INPUT, check_contract
from viewfinder.conversion.terminal import quiet
from viewfinder.errors import ConversionError, MissingExtraError, ViewfinderError

Ranges = Mapping[str, Any]
"""The smallest and the largest value of each tensor, by its name."""

# It multiplies floats by int8 weights and quantises its input itself.
_CLASSIFIER = "FULLY_CONNECTED"


def to_float16(graph: bytes) -> bytes:
    """Keep the weights in half precision: half the bytes. LiteRT computes in float32 as before.

    Args:
        graph: What `to_litert` returned.

    Returns:
        The flatbuffer: uint8 in, float32 logits out.

    Raises:
        ConversionError: LiteRT cannot run the graph, or it cannot be quantised.
        MissingExtraError: litert-quantizer is not installed.
    """
    check_contract(graph)
    with _explained():
        recipe, operation, algorithm = _recipe(graph)
        recipe.add_weight_only_config(
            ".*", operation.ALL_SUPPORTED, num_bits=16, algorithm_key=algorithm.FLOAT_CASTING
        )
        return _finished(recipe)


def to_dynamic(graph: bytes) -> bytes:
    """Keep the weights in int8: a quarter of the bytes. Activations are quantised as they come.

    That is what TFLiteConverter's `Optimize.DEFAULT` gives without photos, but for the depthwise
    convolutions: LiteRT has no quick kernel for them, so they compute in float32 with weights that
    are expanded once, as the graph is loaded. All of a graph then takes 0.6-0.8 times as long, and
    is nearer to float32.

    Args:
        graph: What `to_litert` returned.

    Returns:
        The flatbuffer: uint8 in, float32 logits out.

    Raises:
        ConversionError: LiteRT cannot run the graph, or it cannot be quantised.
        MissingExtraError: litert-quantizer is not installed.
    """
    check_contract(graph)
    with _explained():
        recipe, operation, _ = _recipe(graph)
        recipe.add_dynamic_config(".*", operation.ALL_SUPPORTED, num_bits=8)
        recipe.add_weight_only_config(".*", operation.DEPTHWISE_CONV_2D, num_bits=8)
        return _finished(recipe)


def quantize_int8(graph: bytes, photos: Sequence[NDArray[np.uint8]]) -> bytes:
    """Quantise a float graph to int8 activations and per-channel int8 weights.

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
    return quantize_calibrated(graph, calibrate(graph, photos))


def calibrate(graph: bytes, photos: Sequence[NDArray[np.uint8]]) -> Ranges:
    """Find the range of each tensor, which takes longer than all the rest of a quantisation.

    A moving average is kept over the photos. An all-black and an all-white image set the range of
    the pixels, so that it is exactly 0-255 whatever the photos hold; they do not enter the
    averages, where they would widen the range of every layer (see docs/decisions/0003).

    Args:
        graph: What `to_litert` returned.
        photos: Representative images, uint8 `[H, W, 3]`, through the serving geometry.

    Raises:
        ConversionError: There are no photos, or LiteRT cannot run the graph.
        MissingExtraError: litert-quantizer is not installed.
    """
    if not photos:
        raise ConversionError("int8 needs representative photos to calibrate with; none were given")
    check_contract(graph)
    with _explained():
        ranges = _ranges(graph, photos)
        black = _ranges(graph, [np.zeros_like(photos[0])])
        white = _ranges(graph, [np.full_like(photos[0], 255)])
        for name in _pixel_tensors(graph, photos[0].shape) & ranges.keys() & black.keys():
            ranges[name] = {
                "min": np.minimum(black[name]["min"], white[name]["min"]),
                "max": np.maximum(black[name]["max"], white[name]["max"]),
            }
        return ranges


def quantize_calibrated(graph: bytes, ranges: Ranges, *, keep_float: Collection[str] = ()) -> bytes:
    """Quantise a float graph of which the ranges are known.

    Args:
        graph: What `to_litert` returned.
        ranges: What `calibrate` found in it.
        keep_float: The names of layers, which are those of their output tensors. What such a layer
            gives stays in float: the layer and those that read it compute in float.

    Returns:
        The flatbuffer: uint8 in, float32 logits out.

    Raises:
        ConversionError: The graph cannot be quantised, what came of it breaks the contract, or it
            has no layer of such a name.
        MissingExtraError: litert-quantizer is not installed.
    """
    with _explained():
        return _finished(_static_recipe(graph, keep_float), ranges)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        with quiet():
            yield
    except ViewfinderError:
        raise
    except Exception as error:  # the quantiser raises whatever an operation that it lacks leads to
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ConversionError(f"the graph cannot be quantised: {why}") from error


def _finished(recipe: Any, ranges: Ranges | None = None) -> bytes:
    graph = bytes(recipe.quantize(ranges, enable_progress_report=False).quantized_model)
    check_contract(graph)
    return graph


def _recipe(graph: bytes) -> tuple[Any, Any, Any]:
    """A recipe with nothing in it, and the names of operations and of algorithms."""
    try:
        from litert_quantizer import quantizer
        from litert_quantizer.qtyping import TFLOperationName
    except ImportError as error:
        raise MissingExtraError("Quantisation", "train") from error
    return quantizer.Quantizer(graph), TFLOperationName, quantizer.AlgorithmName


def _static_recipe(graph: bytes, keep_float: Collection[str] = ()) -> Any:
    recipe, operation, algorithm = _recipe(graph)
    recipe.add_static_config(
        ".*", operation.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8
    )
    recipe.add_dynamic_config(".*", operation.FULLY_CONNECTED, num_bits=8)
    for border in (operation.INPUT, operation.OUTPUT):
        recipe.update_quantization_recipe(".*", border, algorithm_key=algorithm.NO_QUANTIZE)
    for layer in _float_layers(graph, keep_float):
        recipe.update_quantization_recipe(
            f"^{re.escape(layer.scope)}$",
            operation.ALL_SUPPORTED,
            algorithm_key=algorithm.NO_QUANTIZE,
        )
    return recipe


def _float_layers(graph: bytes, keep_float: Collection[str]) -> list[Layer]:
    if not keep_float:
        return []
    kept, layers = set(keep_float), layers_of(graph)
    if unknown := kept - {layer.name for layer in layers}:
        raise ConversionError(f"the graph has no layer {min(unknown)}")
    return [
        layer
        for layer in layers
        if layer.name in kept or (layer.kind != _CLASSIFIER and kept.intersection(layer.inputs))
    ]


def _ranges(graph: bytes, photos: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    samples = [{INPUT: photo[np.newaxis]} for photo in photos]
    recipe = _static_recipe(graph)
    ranges: dict[str, Any] = recipe.calibrate({_signature(graph): samples}, num_threads=2)
    return ranges


def _signature(graph: bytes) -> str:
    (name,) = Interpreter(model_content=graph, num_threads=1).get_signature_list()
    return str(name)


def _pixel_tensors(graph: bytes, shape: tuple[int, ...]) -> set[str]:
    """The tensors with a value for each value of the input: its cast and its scaling."""
    details = Interpreter(model_content=graph, num_threads=1).get_tensor_details()
    return {str(d["name"]) for d in details if tuple(d["shape"]) == (1, *shape)}
