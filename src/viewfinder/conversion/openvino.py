"""Keras to OpenVINO."""

import re
import tempfile
from pathlib import Path
from typing import Any

from viewfinder.conversion.saved_model import to_saved_model
from viewfinder.errors import ConversionError, MissingExtraError
from viewfinder.third_party import import_openvino


def to_openvino(model: Any, path: Path) -> None:
    """Convert a classifier to a float32 OpenVINO graph.

    Args:
        model: A `keras.Model` of uint8 `[N, H, W, 3]` to float32 `[N, C]` logits.
        path: Where to, an `.xml`; the weights come beside it into a `.bin`. The length of a batch
            stays open, as in the SavedModel on the way.

    Raises:
        ConversionError: It holds an operation that OpenVINO does not have.
        MissingExtraError: OpenVINO or TensorFlow is not installed.
    """
    try:
        openvino = import_openvino()
    except ModuleNotFoundError as error:
        raise MissingExtraError("Converting to OpenVINO", "openvino") from error
    with tempfile.TemporaryDirectory() as scratch:
        to_saved_model(model, Path(scratch))
        # Not `convert_model`, which would tell Google Analytics.
        try:
            graph = openvino.Core().read_model(scratch)
        except RuntimeError as error:
            found = re.search(r"No conversion rule found for operations: (.+)", str(error))
            why = f"OpenVINO lacks the operation {found[1]}" if found else "OpenVINO cannot read it"
            raise ConversionError(f"the model cannot be converted: {why}") from error
        openvino.save_model(graph, path, compress_to_fp16=False)
