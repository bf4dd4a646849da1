"""Bundles of graphs that `convert` made."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tests.support import PHOTOS

from viewfinder.registry.bundle import Bundle, describe, write_bundle
from viewfinder.registry.manifest import Golden, GoldenSample, Variant
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE, scan


@dataclass(frozen=True)
class Format:
    """How an engine's graph lies in a bundle."""

    engine: str
    format: str
    file: str


FORMATS = {
    "litert": Format("litert", "litert", "model.tflite"),
    "onnx": Format("onnx", "onnx", "model.onnx"),
    "openvino": Format("openvino", "openvino", "model.xml"),
    "tensorflow": Format("tensorflow", "saved_model", "saved_model.pb"),
}


def builtin() -> Bundle:
    """The model that comes with the package."""
    return scan([BUILTIN_STORE]).resolve(BUILTIN_MODEL)


def converted(name: str, graphs: Path, store: Path) -> Bundle:
    """A bundle of the converted graph: the builtin model's labels and photos, Keras' answers."""
    kind, shipped_bundle = FORMATS[name], builtin()
    folder = graphs / name
    files = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    described = {path: describe(path, data) for path, data in files.items()}
    shipped = shipped_bundle.manifest.variant()
    logits = np.load(graphs / "logits.npy")
    names = [path.name for path in sorted(PHOTOS.glob("*.jpg"))]
    samples = []
    for sample in shipped.golden.samples:
        row = logits[names.index(Path(sample.file.path).name)]
        confidence = np.exp(row - row.max()) / np.exp(row - row.max()).sum()
        best = int(confidence.argmax())
        top = [{"index": best, "confidence": float(confidence[best])}]
        samples.append(GoldenSample.model_validate({"file": sample.file, "top": top}))
        files[sample.file.path] = shipped_bundle.verified(sample.file).read_bytes()
    features = None
    if name == "litert":  # the only one whose graph gives its map
        files["head.npy"] = (graphs / "head.npy").read_bytes()
        features = {"weights": describe("head.npy", files["head.npy"])}
    variant = Variant.model_validate(
        {
            "name": "float32",
            "format": kind.format,
            "engine": kind.engine,
            "file": described.pop(kind.file),
            "assets": tuple(described.values()),
            "preprocess": shipped.preprocess,
            "golden": Golden(tolerance=0.001, samples=tuple(samples)),
            "features": features,
        }
    )
    manifest = shipped_bundle.manifest.model_copy(
        update={"variants": (variant,), "recommended": "float32", "evaluation": None}
    )
    return write_bundle(store / BUILTIN_MODEL / "1", manifest, files)


def coloured(site: Path, store: Path) -> Bundle:
    """The bundle that `examples/engine` makes of the example photos, a class for each."""
    made = subprocess.run(
        [sys.executable, "-m", "viewfinder_colours", str(PHOTOS), "--to", str(store)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return Bundle.read(Path(made.stdout.strip()))
