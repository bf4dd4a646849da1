"""EfficientNet-Lite: EfficientNet (Tan and Le, 2019, arXiv:1905.11946) made to be quantised.

It has no squeeze-and-excite, ReLU6 for swish, and an unscaled stem and head. The ImageNet weights
come as PyTorch checkpoints; `load_efficientnet` brings their tensors into place.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import WeightsError
from viewfinder.modeling.backbones import Lite
from viewfinder.modeling.cutting import below_pool
from viewfinder.modeling.extra import keras
from viewfinder.modeling.weights import Tensors

_BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class _Stage:
    """One row of table 1 of the paper: `repeats` inverted residual blocks."""

    kernel: int
    repeats: int
    channels: int
    expansion: int
    stride: int


_STEM_CHANNELS = 32
_HEAD_CHANNELS = 1280
_STAGES = (
    _Stage(kernel=3, repeats=1, channels=16, expansion=1, stride=1),
    _Stage(kernel=3, repeats=2, channels=24, expansion=6, stride=2),
    _Stage(kernel=5, repeats=2, channels=40, expansion=6, stride=2),
    _Stage(kernel=3, repeats=3, channels=80, expansion=6, stride=2),
    _Stage(kernel=5, repeats=3, channels=112, expansion=6, stride=1),
    _Stage(kernel=5, repeats=4, channels=192, expansion=6, stride=2),
    _Stage(kernel=3, repeats=1, channels=320, expansion=6, stride=1),
)


def stack_lite(architecture: Lite, pixels: Any) -> Any:
    """Stack the backbone on a Keras tensor.

    Args:
        architecture: Of the preset.
        pixels: float32 `[N, size, size, 3]`, scaled.

    Returns:
        float32 `[N, size / 32, size / 32, 1280]`, the last feature map.
    """
    x = keras.layers.Conv2D(
        _STEM_CHANNELS, 3, strides=2, padding="same", use_bias=False, name="stem_conv"
    )(pixels)
    x = _normalise_and_activate(x, "stem")
    block = 0
    for number, stage in enumerate(_STAGES):
        # The first and last stage keep their depth: scaling them costs more than it brings.
        scaled = 0 < number < len(_STAGES) - 1
        repeats = math.ceil(stage.repeats * architecture.depth) if scaled else stage.repeats
        for repeat in range(repeats):
            x = _inverted_residual(
                x,
                f"block{block}",
                stage,
                channels=_round_channels(stage.channels * architecture.width),
                stride=stage.stride if repeat == 0 else 1,
            )
            block += 1
    x = keras.layers.Conv2D(_HEAD_CHANNELS, 1, use_bias=False, name="head_conv")(x)
    return _normalise_and_activate(x, "head")


def _inverted_residual(x: Any, name: str, stage: _Stage, *, channels: int, stride: int) -> Any:
    shortcut, arriving = x, x.shape[-1]
    if stage.expansion > 1:
        x = keras.layers.Conv2D(
            arriving * stage.expansion, 1, use_bias=False, name=f"{name}_expand_conv"
        )(x)
        x = _normalise_and_activate(x, f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _normalise_and_activate(x, f"{name}_depthwise")
    x = keras.layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _normalise(x, f"{name}_project")
    if stride == 1 and arriving == channels:
        x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return x


def _normalise(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=_BATCH_NORM_EPSILON, name=f"{name}_norm")(x)


def _normalise_and_activate(x: Any, name: str) -> Any:
    return keras.layers.ReLU(max_value=6.0, name=f"{name}_relu6")(_normalise(x, name))


def _round_channels(channels: float, divisor: int = 8) -> int:
    """The nearest multiple of `divisor` that keeps at least 90% of the channels."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def load_efficientnet(model: Any, tensors: Tensors, *, head: bool = True) -> None:
    """Copy the tensors of a PyTorch EfficientNet into the Keras model, every one exactly once.

    Args:
        model: What `build_classifier` made of an EfficientNet-Lite preset.
        tensors: Weights under their PyTorch names, convolutions as `[out, in, height, width]`.
        head: Also into the classifier layer; without it, the checkpoint's own head is passed over.

    Raises:
        WeightsError: A tensor is missing, left over, or of another shape.
    """
    left = {name for name in tensors if not name.endswith("num_batches_tracked")}
    if not head:
        left = {name for name in left if not name.startswith(f"{_OUTER['logits']}.")}
    for layer in model.layers if head else below_pool(model):
        if not layer.weights:
            continue
        arrays = []
        for name, axes in _sources(layer):
            if name not in left:
                raise WeightsError(f"the checkpoint lacks the tensor {name}")
            left.remove(name)
            arrays.append(_transpose(tensors[name], axes))
        expected = [tuple(weight.shape) for weight in layer.weights]
        if [array.shape for array in arrays] != expected:
            raise WeightsError(f"the checkpoint's {name} does not fit the layer {layer.name}")
        layer.set_weights(arrays)
    if left:
        raise WeightsError(f"the checkpoint holds tensors of another model: {min(left)}")


def _transpose(tensor: NDArray[Any], axes: tuple[int, ...] | None) -> NDArray[Any]:
    if axes is None:
        return tensor
    if tensor.ndim != len(axes):
        raise WeightsError("a tensor of the checkpoint has the wrong number of dimensions")
    return np.transpose(tensor, axes)


def _sources(layer: Any) -> Iterator[tuple[str, tuple[int, ...] | None]]:
    """For each weight of the layer, the PyTorch tensor and the axes that bring it into place."""
    place = _torch_name(layer.name)
    if isinstance(layer, keras.layers.BatchNormalization):
        yield from ((f"{place}.{part}", None) for part in _BATCH_NORM)
    elif isinstance(layer, keras.layers.DepthwiseConv2D):
        yield f"{place}.weight", (2, 3, 0, 1)
    elif isinstance(layer, keras.layers.Conv2D):
        yield f"{place}.weight", (2, 3, 1, 0)
    else:
        yield f"{place}.weight", (1, 0)
        yield f"{place}.bias", None


_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
_OUTER = {
    "stem_conv": "_conv_stem",
    "stem_norm": "_bn0",
    "head_conv": "_conv_head",
    "head_norm": "_bn1",
    "logits": "_fc",
}
_INNER = {
    "expand_conv": "_expand_conv",
    "expand_norm": "_bn0",
    "depthwise_conv": "_depthwise_conv",
    "depthwise_norm": "_bn1",
    "project_conv": "_project_conv",
    "project_norm": "_bn2",
}


def _torch_name(layer: str) -> str:
    if layer in _OUTER:
        return _OUTER[layer]
    block, _, part = layer.partition("_")
    return f"_blocks.{block.removeprefix('block')}.{_INNER[part]}"
