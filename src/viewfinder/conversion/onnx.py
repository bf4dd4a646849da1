"""Keras to ONNX, and a float ONNX graph to int8."""

import importlib.util
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.conversion.constants import as_numbers
from viewfinder.conversion.terminal import quiet
from viewfinder.errors import ConversionError, MissingExtraError
from viewfinder.third_party import import_onnxruntime

# What both ONNX Runtime and TensorRT compute in int8 with a gain.
_QUANTIZED = ("Conv", "MatMul", "Gemm", "Add", "MaxPool", "GlobalAveragePool", "AveragePool")


def to_onnx(model: Any) -> bytes:
    """Convert a classifier to a float32 ONNX graph, the weights inside.

    Args:
        model: A `keras.Model` of uint8 `[N, H, W, 3]` to float32 `[N, C]` logits.

    Returns:
        The file. The length of a batch stays open, because a GPU wants many images at once and a
        CPU one.

    Raises:
        ConversionError: tf2onnx fails over it.
        MissingExtraError: tf2onnx or TensorFlow is not installed.
    """
    if importlib.util.find_spec("tf2onnx") is None:  # Keras imports it, and says less
        raise MissingExtraError("Converting to ONNX", "train")
    import keras

    as_numbers(model)
    image = keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="uint8", name="image")
    with tempfile.TemporaryDirectory() as scratch, quiet():
        path = Path(scratch) / "model.onnx"
        try:
            model.export(path, format="onnx", input_signature=[image], verbose=False)
        except Exception as error:  # tf2onnx's own have no common base
            raise ConversionError(f"the model cannot be converted: {_why(error)}") from error
        return path.read_bytes()


def quantize_onnx(graph: bytes, photos: Sequence[NDArray[np.uint8]]) -> bytes:
    """Quantise a float ONNX graph to int8 activations and per-channel int8 weights.

    The graph has pairs of QuantizeLinear and DequantizeLinear around what is to be computed in
    int8. Every zero point is 0, as TensorRT wants it; any engine can run the file, but ONNX Runtime
    is slow with it on x86 processors, where it has no kernels for int8 times int8 (1.3-7 times as
    long as float was measured). The scaling of the pixels and the classifier layer stay in float.

    Weights have seven bits: processors without VNNI add products of eight in sixteen bits, which
    overflow (onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    Args:
        graph: What `to_onnx` returned.
        photos: Representative images, uint8 `[H, W, 3]`, through the serving geometry.

    Returns:
        The file: uint8 `[N, H, W, 3]` in, float32 logits out, the length of a batch open.

    Raises:
        ConversionError: There are no photos, or the graph cannot be quantised.
        MissingExtraError: ONNX or ONNX Runtime is not installed.
    """
    for package, extra in (("onnx", "train"), ("onnxruntime", "onnx")):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError("Quantising an ONNX graph", extra)
    if not photos:
        raise ConversionError("int8 needs representative photos to calibrate with; none were given")
    try:
        with tempfile.TemporaryDirectory() as scratch, quiet():
            return _quantize(graph, photos, Path(scratch))
    except ConversionError:
        raise
    except Exception as error:  # its own errors have no common base
        raise ConversionError(f"the graph cannot be quantised: {_why(error)}") from error


def _why(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _quantize(graph: bytes, photos: Sequence[NDArray[np.uint8]], scratch: Path) -> bytes:
    import_onnxruntime()
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    whole, folded, small = (scratch / f"{name}.onnx" for name in ("whole", "folded", "small"))
    whole.write_bytes(graph)
    quant_pre_process(whole, folded, skip_symbolic_shape=True)
    model = onnx.load(folded)
    image = model.graph.input[0].name
    samples = iter([{image: photo[np.newaxis]} for photo in photos])
    reader = SimpleNamespace(get_next=lambda: next(samples, None))

    quantization.quantize_static(
        folded,
        small,
        reader,
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
        op_types_to_quantize=list(_QUANTIZED),
        nodes_to_exclude=_borders(list(model.graph.node)),
        extra_options={
            "ActivationSymmetric": True,
            "CalibMovingAverage": True,
            # What a convolution gives is rounded after its activation, which the engine fuses.
            "OpTypesToExcludeOutputQuantization": ["Conv"],
        },
    )
    return small.read_bytes()


def _borders(nodes: Sequence[Any]) -> list[str]:
    """What stays in float: all before the first convolution, and all from the last product on."""
    convolutions = [n for n, node in enumerate(nodes) if node.op_type == "Conv"]
    products = [n for n, node in enumerate(nodes) if node.op_type in {"Gemm", "MatMul"}]
    if not convolutions or not products:
        raise ConversionError("the graph has no convolution, or no classifier layer")
    return [node.name for node in [*nodes[: convolutions[0]], *nodes[products[-1] :]]]
