"""Make the float32 graphs of the conformance suite: `python -m tests.engines.convert FOLDER`.

A process of its own, so that TensorFlow is not there already, with other settings, when an engine
is tested.
"""

import contextlib
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from tests.support import PHOTOS

from viewfinder.conversion.litert import to_litert
from viewfinder.conversion.onnx import to_onnx
from viewfinder.conversion.openvino import to_openvino
from viewfinder.conversion.saved_model import to_saved_model
from viewfinder.errors import MissingExtraError
from viewfinder.imaging.preprocess import preprocess
from viewfinder.modeling.backbones import BACKBONES
from viewfinder.modeling.classifier import imagenet_classifier
from viewfinder.modeling.features import POOL, head_weights
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan
from viewfinder.settings import Limits


def main(folder: Path) -> None:
    """Write a folder for each engine, the photos as pixels, and what Keras says of them."""
    model = imagenet_classifier(BACKBONES[BUILTIN_MODEL])
    spec = scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL).manifest.variant().preprocess
    photos = sorted(PHOTOS.glob("*.jpg"))
    pixels = np.stack([preprocess(photo.read_bytes(), spec, Limits()) for photo in photos])
    np.save(folder / "pixels.npy", pixels)
    np.save(folder / "logits.npy", model(pixels, training=False).numpy())
    np.save(folder / "head.npy", head_weights(model))
    maps = keras.Model(model.input, model.get_layer(POOL).input)
    np.save(folder / "features.npy", maps(pixels, training=False).numpy())
    for engine in ("litert", "onnx", "openvino", "tensorflow"):
        (folder / engine).mkdir()
    (folder / "litert" / "model.tflite").write_bytes(to_litert(model, pool=POOL))
    (folder / "onnx" / "model.onnx").write_bytes(to_onnx(model))
    to_saved_model(model, folder / "tensorflow")
    with contextlib.suppress(MissingExtraError):  # its tests are skipped, the others are not
        to_openvino(model, folder / "openvino" / "model.xml")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
