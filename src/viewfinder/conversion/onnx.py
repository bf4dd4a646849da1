"""Keras to ONNX."""

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

from viewfinder.conversion.terminal import quiet
from viewfinder.errors import MissingExtraError


def to_onnx(model: Any) -> bytes:
    """Convert a classifier to a float32 ONNX graph, the weights inside.

    Args:
        model: A `keras.Model` of uint8 `[N, H, W, 3]` to float32 `[N, C]` logits.

    Returns:
        The file. The length of a batch stays open, because a GPU wants many images at once and a
        CPU one.

    Raises:
        MissingExtraError: tf2onnx or TensorFlow is not installed.
    """
    if importlib.util.find_spec("tf2onnx") is None:  # Keras imports it, and says less
        raise MissingExtraError("Converting to ONNX", "train")
    import keras

    image = keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="uint8", name="image")
    with tempfile.TemporaryDirectory() as scratch, quiet():
        path = Path(scratch) / "model.onnx"
        model.export(path, format="onnx", input_signature=[image], verbose=False)
        return path.read_bytes()
