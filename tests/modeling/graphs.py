"""Small classifiers of every family, with weights that make each part of them matter."""

import dataclasses
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras.src.legacy.saving import legacy_h5_format
from numpy.typing import NDArray

from viewfinder.modeling.applications import weighted_layers
from viewfinder.modeling.backbones import BACKBONES, Backbone
from viewfinder.modeling.classifier import build_classifier

SIDE = 64
CLASSES = 5
APPLICATIONS = [
    "efficientnet-b0",
    "efficientnet-v2-b0",
    "mobilenet-v3-small",
    "resnet50",
    "resnet50-v2",
]
FAMILIES = ["efficientnet-lite0", *APPLICATIONS]


def small(name: str) -> Backbone:
    """The preset, for inputs of 64 by 64 pixels."""
    return dataclasses.replace(BACKBONES[name], input_size=SIDE)


def random_classifier(backbone: Backbone, **options: Any) -> Any:
    """A classifier of random weights, of which no two normalisations are alike."""
    keras.utils.set_random_seed(7)
    random = np.random.default_rng(7)
    model = build_classifier(backbone, CLASSES, **options)
    for layer in weighted_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            ranges = [(0.8, 1.2), (-0.1, 0.1), (-0.1, 0.1), (0.8, 1.2)]
        elif isinstance(layer, keras.layers.Normalization):
            ranges = [(0.3, 0.6), (0.03, 0.1), (0, 0)]
        else:
            continue
        layer.set_weights(
            [random.uniform(*r, w.shape) for r, w in zip(ranges, layer.weights, strict=True)]
        )
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
    return model


def random_pixels(count: int = 2) -> NDArray[np.uint8]:
    """Noise, uint8 `[count, 64, 64, 3]`, brighter in red than in blue."""
    noise = np.random.default_rng(3).integers(0, 200, (count, SIDE, SIDE, 3), np.uint8)
    return noise + np.array([50, 20, 0], np.uint8)


def write_published(model: Any, path: Path) -> Path:
    """Write weights as the files of keras.applications have them."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)
    return path
