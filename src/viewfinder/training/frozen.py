"""The part of a model that does not learn, run by what runs it fastest.

On a CPU that is LiteRT: EfficientNet-Lite0 was measured at 8 ms a photo on two cores, in TensorFlow
at 18-24. The features that a head learns from are those that it will be served.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from viewfinder.conversion.litert import to_litert
from viewfinder.engines.pool import Pool

_CHUNK = 64


class Frozen(Protocol):
    """uint8 `[N, S, S, 3]` to float32 `[N, ...]`."""

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the frozen part makes of photos."""


class FrozenOnCpu:
    """A frozen part as a LiteRT graph, one interpreter a thread.

    Args:
        model: A `keras.Model` of uint8 `[N, S, S, 3]` to one tensor.
        threads: Photos to work on side by side.
    """

    def __init__(self, model: Any, threads: int) -> None:
        graph = to_litert(model)
        self._interpreters = Pool([_interpreter(graph) for _ in range(threads)])
        self._threads = ThreadPoolExecutor(threads, "frozen")

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Frozen`."""
        return np.stack(list(self._threads.map(self._one, pixels)))

    def _one(self, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._interpreters.borrow() as interpreter:
            interpreter.set_tensor(interpreter.get_input_details()[0]["index"], photo[np.newaxis])
            interpreter.invoke()
            answer: NDArray[np.float32] = interpreter.get_tensor(
                interpreter.get_output_details()[0]["index"]
            )[0]
            return answer


class FrozenOnGpu:
    """A frozen part as Keras runs it."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `Frozen`."""
        answer: NDArray[np.float32] = self._model.predict(pixels, verbose=0).astype(np.float32)
        return answer


def _interpreter(graph: bytes) -> Any:
    interpreter = Interpreter(model_content=graph, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def in_chunks(
    frozen: Frozen,
    photos: Callable[[slice], NDArray[np.uint8]],
    count: int,
    progress: Callable[[int], None],
) -> NDArray[np.float32]:
    """What the frozen part makes of many photos, a few in memory at a time.

    Args:
        frozen: The part.
        photos: Gives some of them, uint8 `[n, S, S, 3]`.
        count: How many there are.
        progress: Is told how many are done.

    Returns:
        float32 `[count, ...]`.
    """
    found = []
    for start in range(0, count, _CHUNK):
        found.append(frozen(photos(slice(start, min(start + _CHUNK, count)))))
        progress(min(start + _CHUNK, count))
    return np.concatenate(found)
