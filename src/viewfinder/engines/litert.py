"""LiteRT: the default engine. One interpreter a thread, one image a call.

Measured: an int8 graph takes 2.5-2.7 ms an image at any batch from 1 to 32, so batches gain
nothing on a CPU, and resizing an interpreter's input would cost.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from viewfinder.engines.base import EngineTraits
from viewfinder.errors import BundleError


class LiteRTEngine:
    """As many interpreters as threads, each used by one thread at a time."""

    def __init__(self, path: Path, *, threads: int) -> None:
        try:
            with _first_words_unheard():
                interpreters = [_interpreter(path) for _ in range(threads)]
        except (ValueError, RuntimeError) as error:
            raise BundleError(f"{path.name} is not a graph that LiteRT can run") from error
        self._input, self._output = _sole_border(interpreters[0])
        self._shape: tuple[int, ...] = tuple(int(n) for n in self._input["shape"])
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for interpreter in interpreters:
            self._idle.put(interpreter)
        self.traits = EngineTraits(max_useful_batch=1, instances=threads, device="cpu")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of one image."""
        _, height, width, channels = self._shape
        return height, width, channels

    @property
    def classes(self) -> int:
        """Numbers in one image's scores."""
        return int(self._output["shape"][-1])

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores for images, one after the other: see `Engine.predict`."""
        interpreter = self._idle.get()
        try:
            return np.stack([self._predict_one(interpreter, image) for image in batch])
        finally:
            self._idle.put(interpreter)

    def close(self) -> None:
        """Drop the interpreters as their calls end."""
        for _ in range(self.traits.instances):
            self._idle.get()

    def _predict_one(self, interpreter: Any, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        interpreter.set_tensor(self._input["index"], image[np.newaxis])
        interpreter.invoke()
        scores: NDArray[np.float32] = interpreter.get_tensor(self._output["index"])[0]
        return scores


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


def _sole_border(interpreter: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one input and the one output, once they are found to keep the contract."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if len(inputs) != 1 or len(outputs) != 1:
        raise BundleError("a graph needs exactly one input and one output")
    if inputs[0]["dtype"] is not np.uint8 or [*inputs[0]["shape"][::3]] != [1, 3]:
        raise BundleError("the graph's input is not uint8 [1, height, width, 3]")
    if outputs[0]["dtype"] is not np.float32 or [*outputs[0]["shape"][:-1]] != [1]:
        raise BundleError("the graph's output is not float32 [1, classes]")
    return inputs[0], outputs[0]


def load(path: Path, *, threads: int) -> LiteRTEngine:
    """Load a `.tflite` file: see `EngineModule.load`."""
    return LiteRTEngine(path, threads=threads)
