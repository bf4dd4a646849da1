"""A backbone as the bundle of all graphs that `benchmarks.gpu` times.

    python -m benchmarks.gpu_graphs BACKBONE FOLDER

A process of its own, so that TensorFlow holds no GPU while others are timed.
"""

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["CUDA_VISIBLE_DEVICES"] = ""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from numpy.typing import NDArray

from benchmarks.gpu_row import LOGITS, PIXELS
from benchmarks.harness import photos
from viewfinder.conversion.litert import to_litert
from viewfinder.conversion.onnx import quantize_onnx, to_onnx
from viewfinder.conversion.saved_model import to_saved_model
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.modeling.backbones import BACKBONES, Backbone
from viewfinder.modeling.classifier import IMAGENET_CLASSES, build_classifier, imagenet_classifier
from viewfinder.modeling.precision import as_mixed_float16
from viewfinder.registry.bundle import describe, write_bundle
from viewfinder.registry.manifest import Golden, Label, Manifest, Variant
from viewfinder.settings import Limits


def main() -> None:
    """Write `FOLDER/BACKBONE/1`, and beside it the photos and Keras' answers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbone", choices=BACKBONES)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    backbone, folder = BACKBONES[arguments.backbone], arguments.folder
    spec = PreprocessSpec(
        width=backbone.input_size,
        height=backbone.input_size,
        crop_fraction=backbone.crop_fraction,
    )
    seen = [preprocess(photo, spec, Limits()) for photo in photos()]
    pixels = np.stack([*seen, *(photo[:, ::-1] for photo in seen)])
    model = _model(backbone, pixels)
    np.save(folder / PIXELS, pixels)
    np.save(folder / LOGITS, model(pixels, training=False).numpy())
    write(folder / backbone.name / "1", spec, graphs(model, list(pixels)))


def graphs(model: Any, calibration: Sequence[NDArray[np.uint8]]) -> dict[str, dict[str, bytes]]:
    """The files of each variant, its graph first."""
    exact = to_onnx(model)
    return {
        "float32": {"model.tflite": to_litert(model)},
        "onnx": {"model.onnx": exact},
        "onnx-int8": {"model.onnx": quantize_onnx(exact, calibration)},
        "saved-model": _saved_model(model),
        "saved-model-fp16": _saved_model(as_mixed_float16(model)),
    }


def write(folder: Path, spec: PreprocessSpec, made: dict[str, dict[str, bytes]]) -> None:
    """Write the bundle. It holds no golden samples: how far a variant is off is measured."""
    variants: list[Variant] = []
    files: dict[str, bytes] = {}
    for name, contents in made.items():
        here = {f"{name}/{path}": content for path, content in contents.items()}
        graph, *assets = (describe(path, content) for path, content in here.items())
        engine = "litert" if name == "float32" else name.partition("-")[0]
        variants.append(
            Variant.model_validate(
                {
                    "name": name,
                    "format": "saved_model" if engine == "saved" else engine,
                    "engine": "tensorflow" if engine == "saved" else engine,
                    "file": graph,
                    "assets": tuple(assets),
                    "preprocess": spec,
                    "golden": Golden(tolerance=1),
                }
            )
        )
        files |= here
    manifest = Manifest(
        name=folder.parent.name,
        version=1,
        created=datetime.now(UTC),
        labels=tuple(Label(name=str(number)) for number in range(IMAGENET_CLASSES)),
        variants=tuple(variants),
        recommended="float32",
        provenance={},
    )
    write_bundle(folder, manifest, files)


def _model(backbone: Backbone, pixels: NDArray[np.uint8]) -> Any:
    """With ImageNet's weights where they are installed, else with random ones."""
    if backbone.weights_package:
        return imagenet_classifier(backbone)
    keras.utils.set_random_seed(0)
    model = build_classifier(backbone, IMAGENET_CLASSES)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    # Normalised by what they have seen; else activations fade, and half precision would lose them.
    model(pixels, training=True)
    return model


def _saved_model(model: Any) -> dict[str, bytes]:
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        to_saved_model(model, folder)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        paths.sort(key=lambda path: path.name != "saved_model.pb")
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


if __name__ == "__main__":
    main()
