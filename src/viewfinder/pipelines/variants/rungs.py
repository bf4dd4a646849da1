"""Every graph that can be made of a model: converted, quantised, pruned, or of a smaller model."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.conversion.litert import to_litert
from viewfinder.conversion.onnx import quantize_onnx, to_onnx
from viewfinder.conversion.quantization import quantize_int8, to_dynamic, to_float16
from viewfinder.engines.loader import check_installed
from viewfinder.errors import ConversionError, MissingExtraError
from viewfinder.evaluation.ladder import LeftOut
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.optimization.sensitivity import mixed_int8
from viewfinder.pipelines.variants.graphs import (
    DISTILLED,
    DISTILLED_INT8,
    DYNAMIC,
    FLOAT16,
    FLOAT32,
    INT8,
    MIXED,
    ONNX,
    ONNX_INT8,
    OPENVINO,
    PRUNED,
    RUNGS,
    SAVED_MODEL,
    Graph,
    litert,
    one_file,
    openvino,
    saved_model,
)
from viewfinder.training.progress import Listener

Photos = list[NDArray[np.uint8]]

_NAMED = 4
_KERAS_LAYER = 2


class Rungs:
    """Makes graphs, one after the other. One that cannot be made is named, and ends nothing.

    Args:
        photos: Gives photos to calibrate with, uint8 `[S, S, 3]`, for a geometry.
        worth: How good a LiteRT graph of the model is, 0-1.
        max_drop: What int8 may lose before sensitive layers are sought, 0-1.
        listener: Hears how it goes.

    Attributes:
        graphs: What was made.
        left_out: What was not, and why.
        notes: What was found out on the way.
    """

    def __init__(
        self,
        photos: Callable[[PreprocessSpec], Photos],
        worth: Callable[[bytes], float],
        max_drop: float,
        listener: Listener,
    ) -> None:
        self._photos = photos
        self._worth = worth
        self._max_drop = max_drop
        self._listener = listener
        self._done = 0
        self.graphs: list[Graph] = []
        self.left_out: list[LeftOut] = []
        self.notes: list[str] = []

    def convert(self, model: Any, spec: PreprocessSpec) -> None:
        """All that costs no training.

        Args:
            model: A `keras.Model` of uint8 photos to logits.
            spec: Their geometry.

        Raises:
            ConversionError: Not even the float32 graph can be made.
        """
        float32, head = litert(model)
        one = partial(one_file, spec=spec, head=head)
        self._add(one(FLOAT32, float32))
        with self._trying(FLOAT16):
            self._add(one(FLOAT16, to_float16(float32)))
        with self._trying(DYNAMIC):
            self._add(one(DYNAMIC, to_dynamic(float32)))
        with self._trying(INT8):
            int8 = quantize_int8(float32, self._photos(spec))
            self._add(one(INT8, int8))
            self._mend(float32, int8, spec, head)
        with self._trying(ONNX, ONNX_INT8):
            check_installed("onnx")
            onnx = to_onnx(model)
            self._add(one_file(ONNX, onnx, spec))
            with self._trying(ONNX_INT8):
                self._add(one_file(ONNX_INT8, quantize_onnx(onnx, self._photos(spec)), spec))
        with self._trying(OPENVINO):
            check_installed("openvino")
            self._add(openvino(model, spec))
        with self._trying(SAVED_MODEL):
            self._add(saved_model(model, spec))

    def prune(self, model: Any, spec: PreprocessSpec) -> None:
        """The graph of a model that has been pruned."""
        with self._trying(PRUNED):
            self._add(one_file(PRUNED, to_litert(model), spec))

    def distill(self, student: Any, spec: PreprocessSpec) -> None:
        """The graphs of a model that has been taught."""
        with self._trying(DISTILLED, DISTILLED_INT8):
            float32 = to_litert(student)
            self._add(one_file(DISTILLED, float32, spec))
            with self._trying(DISTILLED_INT8):
                int8 = quantize_int8(float32, self._photos(spec))
                self._add(one_file(DISTILLED_INT8, int8, spec))

    def _mend(self, float32: bytes, int8: bytes, spec: PreprocessSpec, head: bytes | None) -> None:
        """Where eight bits lose too much, find the layers to blame, and keep them in float."""
        enough = self._worth(float32) - self._max_drop
        if self._worth(int8) >= enough:
            return
        with self._trying(MIXED):
            mixed = mixed_int8(
                float32,
                self._photos(spec),
                judge=self._worth,
                enough=enough,
                progress=lambda _done, _of: None,
            )
            if not mixed.kept:
                self.notes.append(
                    f"{INT8} loses more than is allowed, and keeping layers in float did not help."
                )
                return
            self._add(one_file(MIXED, mixed.graph, spec, head=head))
            self.notes.append(
                f"{INT8} loses more than is allowed; {MIXED} keeps the outputs of "
                f"{len(mixed.kept):,} of {len(mixed.layers):,} layers in float, where eight bits "
                f"do most harm: {_few(mixed.kept)}."
            )

    def _add(self, graph: Graph) -> None:
        self.graphs.append(graph)
        self._done += 1
        self._listener.step(self._done)

    @contextmanager
    def _trying(self, *names: str) -> Iterator[None]:
        """The first of these, and those that are made of it."""
        try:
            yield
        except (ConversionError, MissingExtraError) as error:
            why = error.detail.rstrip(".")
            self.left_out += [LeftOut(name=name, why=why) for name in names]


def _few(layers: Sequence[str]) -> str:
    """Some of them, each by the name of its Keras layer: `classifier/model/layer/operation;...`."""
    parts = [name.partition(";")[0].split("/") for name in layers[:_NAMED]]
    short = [part[min(_KERAS_LAYER, len(part) - 1)] for part in parts]
    more = f" and {len(layers) - _NAMED:,} more" if len(layers) > _NAMED else ""
    return ", ".join(short) + more


STEPS = len(RUNGS)
"""As many graphs as there can be."""
