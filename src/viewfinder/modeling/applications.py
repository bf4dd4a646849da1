"""Backbones of keras.applications: built without their heads, and filled with their weights.

Each expects pixels of its own scale. EfficientNet scales inside, by a layer whose numbers stand in
its weights; for the others, the scaling of `backbones` comes before, and their own is left out.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.errors import WeightsError
from viewfinder.modeling.backbones import Application, Backbone
from viewfinder.modeling.cutting import below_pool
from viewfinder.modeling.extra import keras
from viewfinder.modeling.scaling import IMAGENET_MEAN, IMAGENET_STD

Arrays = Sequence[NDArray[np.float32]]


def stack_application(architecture: Application, pixels: Any) -> Any:
    """Stack the backbone on a Keras tensor.

    Args:
        architecture: Of the preset.
        pixels: float32 `[N, size, size, 3]`, scaled, or of 0-255 where it scales inside.

    Returns:
        float32 `[N, height, width, features]`, the last feature map.
    """
    build = getattr(keras.applications, architecture.name)
    options = {"weights": None, "include_top": False, "input_tensor": pixels}
    if "include_preprocessing" in inspect.signature(build).parameters:
        options["include_preprocessing"] = False
    network = build(**options, input_shape=tuple(pixels.shape[1:]))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            _normalise(layer, [np.array(IMAGENET_MEAN), np.square(IMAGENET_STD), np.array(0)])
    return network.output


def load_application(model: Any, backbone: Backbone, arrays: Sequence[Arrays]) -> None:
    """Copy weights as keras.applications has them into the backbone of a classifier.

    Args:
        model: What `build_classifier` made of the preset.
        backbone: The preset.
        arrays: Those of each layer with weights below `pool`, in order, of the right shapes.
    """
    layers = weighted_layers(model)
    for layer, weights in zip(layers, arrays, strict=True):
        if isinstance(layer, keras.layers.Normalization):
            _normalise(layer, weights)
        else:
            layer.set_weights(weights)
    if backbone.scaling is not None and backbone.scaling.swapped:
        stem = layers[0]
        kernel, *rest = stem.get_weights()
        stem.set_weights([kernel[:, :, ::-1], *rest])


def weighted_layers(model: Any) -> list[Any]:
    """The layers of the backbone that have weights, in the order of Keras' files."""
    return [layer for layer in below_pool(model) if layer.weights]


def _normalise(layer: Any, weights: Arrays) -> None:
    """Set the mean and the variance, and what keras.applications adds to the ImageNet weights.

    It was trained with `(x - mean) / variance` by mistake where the layer divides by the root of
    the variance: `EfficientNetB0(weights="imagenet")` divides once more by the root of ImageNet's
    standard deviation, a model from a file does not, and is wrong. Here it is always in the
    variance (github.com/tensorflow/tensorflow/issues/49930).
    """
    mean, variance, count = weights
    if not (variance > 0).all():
        raise WeightsError("the weights divide the pixels by zero")
    layer.set_weights([mean, variance * np.array(IMAGENET_STD), count])
    layer.finalize_state()  # `set_weights` alone leaves the old numbers in use
