"""A graph that somebody else made, its labels, and a description of its pixels: into a bundle."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from viewfinder import __version__
from viewfinder.engines.apart.inspection import Inspection, inspect
from viewfinder.engines.base import to_confidence
from viewfinder.errors import BundleError, InvalidParameterError, ScalingNeededError
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.pipelines.variants.golden import expected
from viewfinder.registry.bundle import describe
from viewfinder.registry.manifest import (
    Golden,
    GoldenSample,
    Label,
    Manifest,
    Scaling,
    Variant,
)
from viewfinder.registry.scanning import BUILTIN_MODEL, BUILTIN_STORE
from viewfinder.shared.plain import encodable

Output = Literal["logits", "probabilities"]
OUTPUTS: Mapping[str, Output] = {"logits": "logits", "probabilities": "probabilities"}

SCALINGS: Mapping[str, Scaling | None] = {
    "none": Scaling(mean=(0, 0, 0), std=(1, 1, 1)),
    "0-1": Scaling(mean=(0, 0, 0), std=(255, 255, 255)),
    "-1-1": Scaling(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5)),
    # The mean and deviation of ImageNet's pixels, as torchvision's models are trained.
    "imagenet": Scaling(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
    # The mean of ImageNet's pixels in the order blue, green, red: Caffe's models, Keras' ResNet50.
    "caffe": Scaling(mean=(103.939, 116.779, 123.68), std=(1, 1, 1)),
}
"""What graphs that take floats are fed, by the names people know."""

_ENGINES: Mapping[str, tuple[Any, Any]] = {
    ".tflite": ("litert", "litert"),
    ".onnx": ("onnx", "onnx"),
    ".xml": ("openvino", "openvino"),
    ".pb": ("saved_model", "tensorflow"),
}
_SAVED_MODEL = "saved_model.pb"
_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class ForeignGraph:
    """What a person says of a graph.

    Attributes:
        path: A `.tflite`, `.onnx` or OpenVINO `.xml` file, or the folder of a SavedModel.
        labels: The name of each class, in the order of the graph's output.
        scaling: What graphs that take floats want done to pixels.
        geometry: The fields of a `PreprocessSpec` but its size, which the graph decides.
        output: What the graph gives; found out by trying if not said.
    """

    path: Path
    labels: Sequence[str]
    scaling: Scaling | None = None
    geometry: Mapping[str, Any] = field(default_factory=dict)
    output: Output | None = None


def make_bundle(
    graph: ForeignGraph, name: str, created: datetime
) -> tuple[Manifest, dict[str, bytes]]:
    """Try a foreign graph on photos, and describe it.

    Args:
        graph: The graph.
        name: What the model will be called.
        created: Now.

    Returns:
        The manifest of version 1, and the files that it names.

    Raises:
        ScalingNeededError: It takes floats, and no scaling was given.
        BundleError: It cannot be served, and why.
    """
    format_, engine = _kind(graph.path)
    main, assets = _files(graph.path)
    photos = sorted((BUILTIN_STORE / BUILTIN_MODEL / "1" / "golden").iterdir())
    found = inspect(
        main,
        engine=engine,
        scaling=graph.scaling,
        geometry=dict(graph.geometry),
        photos=photos,
    )
    if found.wants_floats and graph.scaling is None:
        raise ScalingNeededError(
            "the graph takes floats: say what pixels are scaled to, with --scaling "
            + "|".join(SCALINGS)
        )
    _check_labels(graph.labels, found)
    output = graph.output or _output(found.scores)
    contents = {inner: path.read_bytes() for inner, path in {**_main_of(main), **assets}.items()}
    described = {inner: describe(inner, content) for inner, content in contents.items()}
    golden = {f"golden/{photo.name}": photo.read_bytes() for photo in photos}
    confidence = to_confidence(found.scores, output=output, temperature=1.0)
    variant = Variant(
        name="imported",
        format=format_,
        engine=engine,
        file=described.pop(next(iter(contents))),
        assets=tuple(described.values()),
        preprocess=PreprocessSpec(width=found.width, height=found.height, **graph.geometry),
        scaling=graph.scaling,
        output=output,
        golden=Golden(
            tolerance=_TOLERANCE,
            samples=tuple(
                GoldenSample(file=describe(inner, photo), top=expected(row))
                for (inner, photo), row in zip(golden.items(), confidence, strict=True)
            ),
        ),
    )
    manifest = Manifest(
        name=name,
        version=1,
        created=created,
        labels=tuple(Label(name=label) for label in distinct(graph.labels)),
        variants=(variant,),
        recommended=variant.name,
        provenance={"imported": graph.path.name, "viewfinder": __version__},
    )
    return manifest, {**contents, **golden}


def read_labels(path: Path) -> list[str]:
    """The labels in a file: one a line, or a JSON list, or a JSON object by index.

    Raises:
        InvalidParameterError: It is none of these.
    """
    try:
        text = path.read_text("utf-8-sig").strip()
        if path.suffix == ".json":
            found = json.loads(text)
            if isinstance(found, dict):
                found = [found[str(index)] for index in range(len(found))]
            labels = [label[-1] if isinstance(label, list) else label for label in found]
        else:
            labels = [line.strip() for line in text.splitlines()]
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, IndexError) as error:
        raise InvalidParameterError(f"{path} is not a file of labels") from error
    if not labels or not all(isinstance(label, str) and label for label in labels):
        raise InvalidParameterError(f"{path} has an empty label, or none at all")
    return labels


def distinct(labels: Sequence[str]) -> list[str]:
    """The labels, those that are there twice with their index: ImageNet has two kinds of crane."""
    counts = Counter(labels)
    return [f"{label} ({n})" if counts[label] > 1 else label for n, label in enumerate(labels)]


def _kind(path: Path) -> tuple[Any, Any]:
    if any(encodable(str(one)) != str(one) for one in (path, path.resolve())):
        raise BundleError(f"{path}: a runtime opens no path that is not UTF-8; rename it")
    suffix = ".pb" if path.is_dir() else path.suffix.lower()
    if suffix not in _ENGINES:
        raise BundleError(
            f"{path.name} is not a graph: .tflite, .onnx, .xml (OpenVINO) or a SavedModel's folder"
        )
    return _ENGINES[suffix]


def _main_of(main: Path) -> dict[str, Path]:
    """The graph's own file, by its path in the bundle."""
    inner = f"saved_model/{_SAVED_MODEL}" if main.name == _SAVED_MODEL else main.name
    return {inner: main}


def _files(path: Path) -> tuple[Path, dict[str, Path]]:
    """The graph's own file, and what it needs beside it by its path in the bundle."""
    if path.is_dir() or path.name == _SAVED_MODEL:
        folder = path if path.is_dir() else path.parent
        if not (folder / _SAVED_MODEL).is_file():
            raise BundleError(f"{path.name} has no {_SAVED_MODEL}: it is not a SavedModel")
        weights = sorted(p for p in (folder / "variables").rglob("*") if p.is_file())
        return folder / _SAVED_MODEL, {
            f"saved_model/{p.relative_to(folder).as_posix()}": p for p in weights
        }
    beside = {
        ".xml": [path.with_suffix(".bin")],
        ".onnx": [path.with_name(f"{path.name}.data"), path.with_name(f"{path.name}_data")],
    }
    wanted = beside.get(path.suffix.lower(), [])
    return path, {p.name: p for p in wanted if p.is_file()}


def _check_labels(labels: Sequence[str], found: Inspection) -> None:
    if len(labels) == found.classes:
        return
    hint = ""
    if len(labels) + 1 == found.classes:
        hint = "; many graphs have 'background' as their first class: add it to the labels"
    raise BundleError(
        f"the graph has {found.classes} classes and the labels are {len(labels)}{hint}"
    )


def _output(scores: NDArray[np.float32]) -> Output:
    """What a graph gives, from what it gave for photos.

    That they add up to one says little: scores in 256 steps were seen to sum to 0.78.
    """
    return "probabilities" if ((scores >= 0) & (scores <= 1)).all() else "logits"
