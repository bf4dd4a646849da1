"""Keras to LiteRT."""

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from viewfinder.conversion.constants import as_numbers
from viewfinder.conversion.saved_model import to_saved_model
from viewfinder.conversion.terminal import quiet
from viewfinder.errors import ConversionError, MissingExtraError

INPUT = "image"
"""What a graph calls its input."""

# By which a feature map is told from scores: quantising renames outputs.
_SCORES_RANK, _MAP_RANK = 2, 4


def to_litert(model: Any, *, pool: str | None = None) -> bytes:
    """Convert a classifier to a float32 LiteRT graph.

    Args:
        model: A `keras.Model` of uint8 `[N, H, W, 3]` to float32 `[N, C]` logits.
        pool: The name of the layer that takes the mean of the last feature map: the graph gives
            that map too, float32 `[1, h, w, F]`.

    Returns:
        The flatbuffer, for a batch of one image.

    Raises:
        ConversionError: It holds an operation that LiteRT does not have.
        MissingExtraError: TensorFlow is not installed.
    """
    try:
        import keras
        import tensorflow as tf
    except ImportError as error:
        raise MissingExtraError("Converting a Keras model", "train") from error

    as_numbers(model)
    if pool is not None:
        features = keras.ops.cast(model.get_layer(pool).input, "float32")
        model = keras.Model(model.input, {"logits": model.output, "features": features})
    image = keras.Input(batch_shape=(1, *model.input_shape[1:]), dtype="uint8", name=INPUT)
    one_image = keras.Model(image, model(image, training=False), name="classifier")
    # `from_keras_model` traces the model seven times on its way to the same graph, in twice the
    # time.
    with tempfile.TemporaryDirectory() as folder, quiet():
        to_saved_model(one_image, Path(folder))
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        try:
            return bytes(converter.convert())
        except Exception as error:  # the converter's own has no public name
            found = re.search(r"^(?:Custom|TF Select) ops: (.+?)\s*$", str(error), re.MULTILINE)
            why = f"LiteRT lacks the operation {found[1]}" if found else "LiteRT lacks a part of it"
            raise ConversionError(f"the model cannot be converted: {why}") from error


def check_contract(graph: bytes) -> None:
    """Refuse a graph that LiteRT cannot run, or that is not uint8 pixels in, float32 scores out.

    It may give a feature map too, `[1, h, w, F]`.

    Raises:
        ConversionError: It is not, its input is quantised by other than scale 1, zero point 0, or
            it holds an operation that LiteRT does not have.
    """
    interpreter = _prepared(graph)
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    ranks = sorted(len(output["shape"]) for output in outputs)
    if len(inputs) != 1 or not (len(ranks) == 1 or ranks == [_SCORES_RANK, _MAP_RANK]):
        raise ConversionError("a graph has one input and one output, and maybe a feature map")
    if inputs[0]["dtype"] is not np.uint8 or inputs[0]["quantization"] not in {(0.0, 0), (1.0, 0)}:
        raise ConversionError("the input must be uint8 pixels with scale 1 and zero point 0")
    if any(output["dtype"] is not np.float32 for output in outputs):
        raise ConversionError("the output must be float32")


def _prepared(graph: bytes) -> Any:
    try:
        interpreter = Interpreter(
            model_content=graph,
            num_threads=1,
            # A delegate would announce itself on the terminal.
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        found = re.search(r"custom op: (\w+)|\((\w+)\) failed to prepare", str(error))
        if found is None:
            raise ConversionError("LiteRT cannot run the graph") from error
        name = found[1] or found[2]
        raise ConversionError(
            f"the graph holds the operation {name}, which LiteRT lacks"
        ) from error
    return interpreter
