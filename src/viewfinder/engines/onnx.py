"""ONNX Runtime: graphs from anywhere, on a CPU, or on an NVIDIA GPU through CUDA or TensorRT.

One session serves every thread, as it is safe to call from several. On a CPU each call runs in the
thread that makes it, one image at a time.
"""

import contextlib
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.base import Device, EngineOptions, EngineTraits
from viewfinder.engines.border import InputBorder, count_classes, in_parts, one_each, to_scores
from viewfinder.engines.pool import Pool
from viewfinder.engines.releases import releases
from viewfinder.errors import BundleError, MissingExtraError, SettingsError
from viewfinder.third_party import import_onnxruntime

_onnxruntime = import_onnxruntime()

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

# Half precision costs a classifier a thousandth of a score; a golden sample that disagrees says so.
TENSORRT_FP16 = True
_ERRORS_ONLY = 3

# A node that hands TensorRT an engine compiled elsewhere, which is code and not a graph.
_COMPILED = b"EPContext"
# The end of QuantizeLinear and DequantizeLinear: a graph with these says itself what is int8.
_QUANTIZED = b"quantizeLinear"
# What an engine that TensorRT has compiled is good for, and for no other.
_RELEASES = ("onnxruntime-gpu", "onnxruntime", "tensorrt-cu13", "tensorrt-cu12", "tensorrt")


@dataclass(frozen=True, slots=True)
class Compilation:
    """What TensorRT is told before it compiles a graph.

    Attributes:
        int8: Whether the graph has QuantizeLinear and DequantizeLinear: TensorRT takes int8 from
            them, without a calibration table, and refuses them unless int8 is on.
        shapes: The smallest and the largest input by its name, as `image:1x224x224x3`; None where
            the graph leaves nothing open.
        cache: A folder for this graph and nothing else; None keeps nothing.
    """

    int8: bool = False
    shapes: tuple[str, str] | None = None
    cache: Path | None = None


class OnnxEngine:
    """See the module."""

    def __init__(self, path: Path, options: EngineOptions) -> None:
        session = _session(path, options)
        image, scores = one_each(session.get_inputs(), session.get_outputs())
        self._name = image.name
        shape = [n if isinstance(n, int) else None for n in image.shape]
        self._border = InputBorder.of(shape, _dtype(image), options.scaling)
        _dtype(scores)
        self.classes = count_classes([n if isinstance(n, int) else None for n in scores.shape])
        self.input_shape = self._border.input_shape

        # Where the graph leaves the length of a batch open, a CPU gains nothing by a longer one.
        on_device = options.device != "cpu"
        self._fixed = shape[0] is not None
        self._size = shape[0] or (options.device_batch if on_device else 1)
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
    if wanted not in _onnxruntime.get_available_providers():
        raise MissingExtraError(f"ONNX Runtime on {options.device}", "onnx-gpu")
    settings = _onnxruntime.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    settings.intra_op_num_threads = settings.inter_op_num_threads = 1
    content = path.read_bytes()
    if _COMPILED in content:
        raise BundleError(f"{path.name} holds a compiled engine, which is not run")
    try:
        if options.device == "tensorrt":
            session = _compiled(path, settings, _compilation(path, content, options))
        else:
            session = _open(path, settings, _providers(options.device))
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


def _open(path: Path, settings: Any, providers: list[Any]) -> Any:
    return _onnxruntime.InferenceSession(path, settings, providers=providers)


def _compiled(path: Path, settings: Any, wanted: Compilation) -> Any:
    """A session whose engines are compiled now, if TensorRT takes the graph as a whole.

    Otherwise the parts that it takes have open inputs of their own, which nobody has told it
    about. Then they are compiled while the engine is warmed up, for one length of batch after the
    other.
    """
    if wanted.shapes is not None:
        with contextlib.suppress(Exception):  # its own errors have no common base
            return _open(path, settings, _providers("tensorrt", wanted))
    return _open(path, settings, _providers("tensorrt", replace(wanted, shapes=None)))


def _compilation(path: Path, content: bytes, options: EngineOptions) -> Compilation:
    """What there is to say of a graph, which a CPU tells."""
    settings = _onnxruntime.SessionOptions()
    settings.log_severity_level = _ERRORS_ONLY
    settings.graph_optimization_level = _onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    image, *_ = _open(path, settings, _providers("cpu")).get_inputs()
    return Compilation(
        int8=_QUANTIZED in content,
        shapes=_shapes(image.name, image.shape, options.device_batch),
        cache=_own_folder(options.cache, content),
    )


def _shapes(name: str, shape: list[Any], most: int) -> tuple[str, str] | None:
    """From one image to as many as are asked at once, where only their number is open."""
    count, *sides = shape
    if isinstance(count, int) or not all(isinstance(side, int) for side in sides):
        return None
    smallest, largest = ("x".join(map(str, (images, *sides))) for images in (1, most))
    return f"{name}:{smallest}", f"{name}:{largest}"


def _own_folder(cache: Path | None, content: bytes) -> Path | None:
    """Where the engines of this very graph are kept.

    ONNX Runtime names them by the graph's file and the names of its nodes, and so would give two
    trainings of one backbone the same engine, or an engine to a release that cannot read it.
    """
    if cache is None:
        return None
    made_by = "_".join(releases(_RELEASES))
    folder = cache / "tensorrt" / made_by / hashlib.sha256(content).hexdigest()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # it compiles each time, and serves
        return None
    return folder


def _providers(device: Device, wanted: Compilation | None = None) -> list[Any]:
    """What ONNX Runtime may use, best first: each takes the nodes that those before it cannot.

    Args:
        device: Where to run.
        wanted: With `tensorrt`: what it compiles.
    """
    cpu, cuda, tensorrt = (_PROVIDERS[device] for device in ("cpu", "cuda", "tensorrt"))
    if device == "cpu":
        return [cpu]
    if device == "cuda":
        return [cuda, cpu]
    wanted = wanted or Compilation()
    settings: dict[str, Any] = {"trt_fp16_enable": TENSORRT_FP16, "trt_int8_enable": wanted.int8}
    if wanted.shapes is not None:
        smallest, largest = wanted.shapes
        # One engine for every length of batch, the fastest for the longest: that is under load.
        settings |= {
            "trt_profile_min_shapes": smallest,
            "trt_profile_opt_shapes": largest,
            "trt_profile_max_shapes": largest,
        }
    if wanted.cache is not None:
        settings |= {
            "trt_engine_cache_enable": True,
            "trt_engine_cache_path": str(wanted.cache),
            "trt_timing_cache_enable": True,
            # How fast its kernels are is true of every graph.
            "trt_timing_cache_path": str(wanted.cache.parent),
        }
    return [(tensorrt, settings), cuda, cpu]


def _dtype(value: Any) -> type[np.generic]:
    if value.type not in _DTYPES:
        raise BundleError(f"the graph's {value.name} is a {value.type}, not pixels or scores")
    return _DTYPES[value.type]


def load(path: Path, options: EngineOptions) -> OnnxEngine:
    """Load an `.onnx` file: see `EngineModule.load`."""
    return OnnxEngine(path, options)
