"""The graphs that can be made of a Keras model, each with what a bundle must know of it."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from viewfinder.conversion.openvino import to_openvino
from viewfinder.conversion.saved_model import to_saved_model
from viewfinder.imaging.geometry import PreprocessSpec

Format = Literal["litert", "onnx", "openvino", "saved_model"]
Runner = Literal["litert", "onnx", "openvino", "tensorflow"]

FLOAT32, FLOAT16, DYNAMIC, INT8, MIXED = "float32", "float16", "dynamic", "int8", "int8-mixed"
PRUNED, DISTILLED, DISTILLED_INT8 = "pruned", "distilled", "distilled-int8"
ONNX, ONNX_INT8, OPENVINO, SAVED_MODEL = "onnx", "onnx-int8", "openvino", "saved-model"

_ENGINES: Mapping[Format, Runner] = {
    "litert": "litert",
    "onnx": "onnx",
    "openvino": "openvino",
    "saved_model": "tensorflow",
}
# How far a confidence may be off on another machine: processors round differently, and eight bits
# magnify it.
_EXACT, _ROUNDED = 0.05, 0.1


@dataclass(frozen=True, slots=True)
class Rung:
    """A kind of graph.

    Attributes:
        format: Of its file.
        what: What was done to the model, in a few words.
        tolerance: By how much a golden sample may be off, 0-1.
    """

    format: Format
    what: str
    tolerance: float

    @property
    def engine(self) -> Runner:
        """What runs it."""
        return _ENGINES[self.format]


RUNGS: Mapping[str, Rung] = {
    FLOAT32: Rung("litert", "as trained", _EXACT),
    FLOAT16: Rung("litert", "weights of 16 bits", _EXACT),
    DYNAMIC: Rung("litert", "weights of 8 bits, activations rounded on the way", _ROUNDED),
    INT8: Rung("litert", "weights and activations of 8 bits", _ROUNDED),
    MIXED: Rung("litert", "8 bits, sensitive layers in float", _ROUNDED),
    PRUNED: Rung("litert", "small weights set to zero, the rest trained on", _EXACT),
    DISTILLED: Rung("litert", "a smaller model, taught by this one", _EXACT),
    DISTILLED_INT8: Rung("litert", "the smaller model in 8 bits", _ROUNDED),
    ONNX: Rung("onnx", "as trained", _EXACT),
    ONNX_INT8: Rung("onnx", "weights and activations of 8 bits", _ROUNDED),
    OPENVINO: Rung("openvino", "as trained", _EXACT),
    SAVED_MODEL: Rung("saved_model", "as trained", _EXACT),
}
"""Every kind, in the order in which they are made."""


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph, ready to be measured.

    Attributes:
        name: Of its kind.
        contents: Its files by their paths in a bundle; the first is what an engine loads.
        spec: The geometry of its input.
    """

    name: str
    contents: Mapping[str, bytes]
    spec: PreprocessSpec

    @property
    def rung(self) -> Rung:
        """Its kind."""
        return RUNGS[self.name]


def one_file(name: str, graph: bytes, spec: PreprocessSpec) -> Graph:
    """A graph that is a single file: LiteRT or ONNX."""
    suffix = {"litert": "tflite", "onnx": "onnx"}[RUNGS[name].format]
    return Graph(name, {f"model.{name}.{suffix}": graph}, spec)


def openvino(model: Any, spec: PreprocessSpec) -> Graph:
    """Convert a `keras.Model`: see `to_openvino`."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"model.{OPENVINO}.xml"
        to_openvino(model, path)
        files = [path, path.with_suffix(".bin")]
        return Graph(OPENVINO, {file.name: file.read_bytes() for file in files}, spec)


def saved_model(model: Any, spec: PreprocessSpec) -> Graph:
    """Convert a `keras.Model`: see `to_saved_model`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "saved_model"
        to_saved_model(model, folder)
        main = folder / "saved_model.pb"
        weights = sorted(path for path in (folder / "variables").rglob("*") if path.is_file())
        return Graph(
            SAVED_MODEL,
            {
                path.relative_to(folder.parent).as_posix(): path.read_bytes()
                for path in (main, *weights)
            },
            spec,
        )
