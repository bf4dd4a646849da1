"""The graphs that can be made of a Keras model, each with what a bundle must know of it."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from viewfinder.conversion.litert import to_litert
from viewfinder.conversion.openvino import to_openvino
from viewfinder.conversion.saved_model import to_saved_model
from viewfinder.engines.head import head_file
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.modeling.features import POOL, has_linear_head, head_weights

Format = Literal["litert", "onnx", "openvino", "saved_model"]
Runner = Literal["litert", "onnx", "openvino", "tensorflow"]

FLOAT32, FLOAT16, DYNAMIC, INT8, MIXED = "float32", "float16", "dynamic", "int8", "int8-mixed"
PRUNED, DISTILLED, DISTILLED_INT8 = "pruned", "distilled", "distilled-int8"
ONNX, ONNX_INT8, OPENVINO, SAVED_MODEL = "onnx", "onnx-int8", "openvino", "saved-model"

HEAD = "head.npy"
"""The weights of the head, which all graphs of a model share."""

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
        head: The weights of its head, if it gives its feature map: see `Features`.
    """

    name: str
    contents: Mapping[str, bytes]
    spec: PreprocessSpec
    head: bytes | None = None

    @property
    def files(self) -> Mapping[str, bytes]:
        """All that a bundle holds of it."""
        return self.contents if self.head is None else {**self.contents, HEAD: self.head}

    @property
    def rung(self) -> Rung:
        """Its kind."""
        return RUNGS[self.name]


def one_file(name: str, graph: bytes, spec: PreprocessSpec, *, head: bytes | None = None) -> Graph:
    """A graph that is a single file: LiteRT or ONNX."""
    suffix = {"litert": "tflite", "onnx": "onnx"}[RUNGS[name].format]
    return Graph(name, {f"model.{name}.{suffix}": graph}, spec, head)


def litert(model: Any) -> tuple[bytes, bytes | None]:
    """The float32 LiteRT graph of what `build_classifier` made, and the weights of its head.

    With a linear head the graph gives the feature map too; else there are no weights.

    Raises:
        ConversionError: It holds an operation that LiteRT does not have.
        MissingExtraError: TensorFlow is not installed.
    """
    if not has_linear_head(model):
        return to_litert(model), None
    return to_litert(model, pool=POOL), head_file(head_weights(model))


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
