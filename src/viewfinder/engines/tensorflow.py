"""TensorFlow: SavedModels as they are, on a CPU or, compiled by XLA, on a GPU.

How many threads TensorFlow has is decided once in a process, by the first model that is loaded.
"""

import contextlib
import os
from pathlib import Path
from typing import Any

# Its start-up prints a page of hints. Errors are still shown.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# On, as it comes on processors with AVX-512 VNNI, it says so at each start, whatever the level, and
# rounds otherwise than on all others.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from viewfinder.engines.base import EngineOptions, EngineTraits
from viewfinder.engines.border import InputBorder, count_classes, in_parts, one_each, to_scores
from viewfinder.engines.pool import Pool
from viewfinder.engines.saved_model import SIGNATURE, check_file, check_graph
from viewfinder.errors import BundleError, SettingsError


class TensorFlowEngine:
    """See the module."""

    def __init__(self, path: Path, options: EngineOptions) -> None:
        on_device = _set_up(options)
        self._place = "/GPU:0" if on_device else "/CPU:0"
        function = _signature(path, self._place)
        self._name, image, scores = _border(function)
        shape = _shape(image)
        self._border = InputBorder.of(shape, image.dtype.as_numpy_dtype, options.scaling)
        self.classes = count_classes(_shape(scores))
        self.input_shape = self._border.input_shape

        # XLA compiles for each length of a batch anew, so for XLA there is one length.
        compiled = _is_compiled(options)
        self._size = shape[0] or (options.device_batch if compiled else 1)
        self._fill = compiled or shape[0] is not None
        self.traits = EngineTraits(
            max_useful_batch=self._size if on_device else 1,
            instances=options.threads,
            device="gpu" if on_device else "cpu",
        )
        call = tf.function(function, jit_compile=True) if compiled else function
        self._pool = Pool([call] * options.threads)

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores for images: see `Engine.predict`."""
        with self._pool.borrow() as call, tf.device(self._place):

            def run(part: NDArray[np.uint8]) -> NDArray[np.float32]:
                (values,) = call(**{self._name: tf.constant(self._border.encode(part))}).values()
                return to_scores(values.numpy(), self.classes)

            return in_parts(run, batch, self._size, fill=self._fill)

    def close(self) -> None:
        """Drop the function, and with it the variables, as the last call ends."""
        self._pool.close()


def _is_compiled(options: EngineOptions) -> bool:
    """Whether XLA fuses the graph's small steps: on a device, where each costs a launch.

    On a CPU the graph's own kernels run at once, and nobody waits for a compiler.
    """
    return options.device == "cuda"


def _set_up(options: EngineOptions) -> bool:
    """Divide the cores, and say whether a GPU is to be used.

    Raises:
        SettingsError: A device was asked for that TensorFlow cannot use here.
    """
    if options.device == "tensorrt":
        raise SettingsError("TensorFlow has no TensorRT any more: choose the device 'cuda'")
    devices = tf.config.list_physical_devices("GPU")
    if options.device == "cuda" and not devices:
        raise SettingsError(
            "the device 'cuda' was asked for, and TensorFlow sees no GPU: it needs an NVIDIA "
            "driver and pip install 'tensorflow[and-cuda]' in place of tensorflow-cpu"
        )
    # Each is refused once TensorFlow has begun to work: then an earlier model has decided.
    with contextlib.suppress(RuntimeError):
        for device in devices:  # or TensorFlow takes all of its memory at once
            tf.config.experimental.set_memory_growth(device, enable=True)
    with contextlib.suppress(RuntimeError):
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    return options.device == "cuda"


def _signature(path: Path, place: str) -> Any:
    """The serving function, loaded and not yet called."""
    check_file(path, SavedModel())
    tf.get_logger().setLevel("ERROR")
    try:
        with tf.device(place):
            function = tf.saved_model.load(path.parent).signatures[SIGNATURE]
    except Exception as error:  # a damaged graph fails in as many ways as there are layers
        raise BundleError(f"{path.name} is not a graph that TensorFlow can run") from error
    check_graph(function.graph.as_graph_def())
    return function


def _border(function: Any) -> tuple[str, Any, Any]:
    """The name of the input, its `TensorSpec`, and that of the output."""
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    (name, image), scores = one_each(inputs.items(), outputs.values())
    if not scores.dtype.is_floating:
        raise BundleError(f"the graph's output is {scores.dtype.name}, not scores")
    return name, image, scores


def _shape(spec: Any) -> list[int | None]:
    return [] if spec.shape.rank is None else list(spec.shape.as_list())


def load(path: Path, options: EngineOptions) -> TensorFlowEngine:
    """Load a SavedModel by its `saved_model.pb`: see `EngineModule.load`."""
    return TensorFlowEngine(path, options)
