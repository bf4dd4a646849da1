"""ONNX Runtime: graphs from anywhere, on a CPU, or on an NVIDIA GPU through CUDA or TensorRT.

One session serves every thread, as it is safe to call from several. On a CPU each call runs in the
thread that makes it, one image at a time.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from viewfinder.engines.base import EngineOptions, EngineTraits
from viewfinder.engines.border import InputBorder, count_classes, in_parts, to_scores
from viewfinder.engines.pool import Pool
from viewfinder.errors import BundleError, MissingExtraError, SettingsError

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
_DTYPES: dict[str, type[np.generic]] = {
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(float16)": np.float16,
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
}
_DEVICE_BATCH = 32

# Half precision costs a classifier a thousandth of a score; a golden sample that disagrees says so.
TENSORRT_FP16 = True
_ERRORS_ONLY = 3

# A node that hands TensorRT an engine compiled elsewhere, which is code and not a graph.
_COMPILED = b"EPContext"


class OnnxEngine:
    """See the module."""

    def __init__(self, path: Path, options: EngineOptions) -> None:
        session = _session(path, options)
        if len(session.get_inputs()) != 1 or len(session.get_outputs()) != 1:
            raise BundleError("a graph needs exactly one input and one output")
        (image,), (scores,) = session.get_inputs(), session.get_outputs()
        self._name = image.name
        shape = [n if isinstance(n, int) else None for n in image.shape]
        self._border = InputBorder.of(shape, _dtype(image), options.scaling)
        _dtype(scores)
        self.classes = count_classes([n if isinstance(n, int) else None for n in scores.shape])
        self.input_shape = (self._border.height, self._border.width, 3)

        # Where the graph leaves the length of a batch open, a CPU gains nothing by a longer one.
        on_device = options.device != "cpu"
        self._fixed = shape[0] is not None
        self._size = shape[0] or (_DEVICE_BATCH if on_device else 1)
        self.traits = EngineTraits(
            max_useful_batch=self._size if on_device else 1,
            instances=options.threads,
            device="gpu" if on_device else "cpu",
        )
        self._pool = Pool([session] * options.threads)

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores for images: see `Engine.predict`."""
        with self._pool.borrow() as session:

            def run(part: NDArray[np.uint8]) -> NDArray[np.float32]:
                (values,) = session.run(None, {self._name: self._border.encode(part)})
                return to_scores(values, self.classes)

            return in_parts(run, batch, self._size, fill=self._fixed)

    def close(self) -> None:
        """Drop the session as the last call ends."""
        self._pool.close()


def _session(path: Path, options: EngineOptions) -> Any:
    """Load the graph; never on another device than the one asked for.

    Raises:
        BundleError: The file is not a graph.
        MissingExtraError: This build of ONNX Runtime has no provider for the device.
        SettingsError: The device does not work on this machine.
    """
    wanted = _PROVIDERS[options.device]
    if wanted not in onnxruntime.get_available_providers():
        raise MissingExtraError(f"ONNX Runtime on {options.device}", "onnx-gpu")
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    if _COMPILED in path.read_bytes():
        raise BundleError(f"{path.name} holds a compiled engine, which is not run")
    try:
        session = onnxruntime.InferenceSession(path, settings, providers=_providers(options))
    except Exception as error:  # its own errors have no common base
        raise BundleError(f"{path.name} is not a graph that ONNX Runtime can run") from error
    if wanted not in session.get_providers():
        raise SettingsError(
            f"the device '{options.device}' was asked for, and ONNX Runtime cannot use it here: "
            "it needs an NVIDIA driver and, for TensorRT, pip install 'tensorrt-cu13<11'"
        )
    # A device that fails later is an error too, and no reason to go on slowly.
    session.disable_fallback()
    return session


def _providers(options: EngineOptions) -> list[Any]:
    """What ONNX Runtime may use, best first: each takes the nodes that those before it cannot."""
    cpu, cuda, tensorrt = (_PROVIDERS[device] for device in ("cpu", "cuda", "tensorrt"))
    if options.device == "cpu":
        return [cpu]
    if options.device == "cuda":
        return [cuda, cpu]
    settings: dict[str, Any] = {"trt_fp16_enable": TENSORRT_FP16}
    if options.cache is not None:
        folder = str(options.cache)
        settings |= {
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": folder,
            "trt_timing_cache_enable": True,
            "trt_timing_cache_path": folder,
        }
    return [(tensorrt, settings), cuda, cpu]


def _dtype(value: Any) -> type[np.generic]:
    if value.type not in _DTYPES:
        raise BundleError(f"the graph's {value.name} is a {value.type}, not pixels or scores")
    return _DTYPES[value.type]


def load(path: Path, options: EngineOptions) -> OnnxEngine:
    """Load an `.onnx` file: see `EngineModule.load`."""
    return OnnxEngine(path, options)
