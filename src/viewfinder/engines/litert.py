"""LiteRT: the default engine. One interpreter a thread, one image a call.

On a CPU batches gain nothing: an int8 graph was measured at 2.5-2.7 ms an image at any batch from 1
to 32, on a processor with VNNI. Resizing an interpreter's input would cost.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from viewfinder.engines.base import EngineOptions, EngineTraits
from viewfinder.engines.border import InputBorder, Quantization, count_classes, to_scores
from viewfinder.engines.pool import Pool
from viewfinder.errors import BundleError

# Axes of a feature map, by which it is told from scores: quantising renames outputs.
_MAP_RANK = 4


class LiteRTEngine:
    """As many interpreters as threads, each used by one thread at a time."""

    def __init__(self, path: Path, options: EngineOptions) -> None:
        try:
            with _first_words_unheard():
                interpreters = [_interpreter(path) for _ in range(options.threads)]
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{path.name} is not a graph that LiteRT can run") from error
        inputs, outputs = interpreters[0].get_input_details(), interpreters[0].get_output_details()
        maps = [output for output in outputs if len(output["shape"]) == _MAP_RANK]
        scores = [output for output in outputs if len(output["shape"]) != _MAP_RANK]
        if len(outputs) == 1:  # the scores of a foreign graph may keep axes of length one
            maps, scores = [], outputs
        if len(inputs) != 1 or len(scores) != 1 or len(maps) > 1:
            raise BundleError(
                "a graph needs exactly one input and one output of scores, "
                "and may have one feature map"
            )
        (self._input,), (self._output,), self._map = inputs, scores, next(iter(maps), None)
        self._border = InputBorder.of(
            self._input["shape"].tolist(),
            self._input["dtype"],
            options.scaling,
            _quantization(self._input),
        )
        self._decoding = _quantization(self._output)
        self.input_shape = self._border.input_shape
        self.classes = count_classes(self._output["shape"].tolist())
        self.feature_shape = None if self._map is None else _feature_shape(self._map)
        self._pool = Pool(interpreters)
        self.traits = EngineTraits(max_useful_batch=1, instances=options.threads, device="cpu")

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores for images, one after the other: see `Engine.predict`."""
        with self._pool.borrow() as interpreter:
            return np.concatenate(
                [self._predict_one(interpreter, batch[n : n + 1]) for n in range(len(batch))]
            )

    def features(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Feature maps, one after the other: see `FeatureEngine.features`."""
        if self._map is None:
            raise BundleError("the graph gives no feature map")
        index = self._map["index"]
        with self._pool.borrow() as interpreter:
            maps = []
            for n in range(len(batch)):
                self._predict_one(interpreter, batch[n : n + 1])
                maps.append(interpreter.get_tensor(index))
            return np.concatenate(maps)

    def close(self) -> None:
        """Drop the interpreters as their calls end."""
        self._pool.close()

    def _predict_one(self, interpreter: Any, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        interpreter.set_tensor(self._input["index"], self._border.encode(image))
        interpreter.invoke()
        return to_scores(
            interpreter.get_tensor(self._output["index"]), self.classes, self._decoding
        )


def _feature_shape(detail: dict[str, Any]) -> tuple[int, int, int]:
    _, height, width, channels = detail["shape"].tolist()
    if detail["dtype"] is not np.float32:
        raise BundleError("the graph's feature map is not float32")
    return height, width, channels


def _interpreter(path: Path) -> Any:
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


_spoken = threading.Event()


@contextlib.contextmanager
def _first_words_unheard() -> Iterator[None]:
    """Keep "Created TensorFlow Lite XNNPACK delegate" off the terminal.

    The runtime writes it to the file descriptor with its first graph, and has no setting for it.
    """
    if _spoken.is_set():
        yield
        return
    _spoken.set()
    try:
        stderr = os.dup(2)
    except OSError:  # there is no stderr to keep clean
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def _quantization(detail: dict[str, Any]) -> Quantization | None:
    scale, zero_point = detail["quantization"]
    return Quantization(float(scale), int(zero_point)) if scale else None


def load(path: Path, options: EngineOptions) -> LiteRTEngine:
    """Load a `.tflite` file: see `EngineModule.load`."""
    return LiteRTEngine(path, options)
