"""OpenVINO: the fastest on many Intel processors. One request a thread, one image a call.

Each request runs in a stream of its own, which is one thread.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.base import EngineOptions, EngineTraits
from viewfinder.engines.border import InputBorder, count_classes, in_parts, one_each, to_scores
from viewfinder.engines.pool import Pool
from viewfinder.errors import BundleError
from viewfinder.third_party import import_openvino

_openvino = import_openvino()

# Named, because OpenVINO would try one reader after the other, and print what each thinks.
_READERS = {".xml": "ir", ".onnx": "onnx", ".tflite": "tflite"}


class OpenVINOEngine:
    """See the module."""

    def __init__(self, path: Path, options: EngineOptions) -> None:
        compiled = _compile(path, options.threads)
        image, scores = one_each(compiled.inputs, compiled.outputs)
        shape = _shape(image)
        self._border = InputBorder.of(shape, image.element_type.to_dtype(), options.scaling)
        self.classes = count_classes(_shape(scores))
        self.input_shape = self._border.input_shape
        self._fixed = shape[0] is not None
        self._size = shape[0] or 1
        self._pool = Pool(compiled.create_infer_request() for _ in range(options.threads))
        self.traits = EngineTraits(max_useful_batch=1, instances=options.threads, device="cpu")

    def predict(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Scores for images: see `Engine.predict`."""
        with self._pool.borrow() as request:

            def run(part: NDArray[np.uint8]) -> NDArray[np.float32]:
                # Without a copy on the way in; `to_scores` makes the one on the way out.
                values = request.infer({0: self._border.encode(part)}, share_inputs=True)[0]
                return to_scores(values, self.classes)

            return in_parts(run, batch, self._size, fill=self._fixed)

    def close(self) -> None:
        """Drop the requests as their calls end."""
        self._pool.close()


def _compile(path: Path, threads: int) -> Any:
    try:
        readers = _openvino.frontend.FrontEndManager()
        reader = readers.load_by_framework(_READERS[path.suffix])
        return _openvino.Core().compile_model(
            reader.convert(reader.load(str(path))),
            "CPU",
            {
                "NUM_STREAMS": threads,
                "INFERENCE_NUM_THREADS": threads,
                # A processor with bfloat16 would otherwise round where others do not.
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
    except Exception as error:  # each reader has errors of its own
        raise BundleError(f"{path.name} is not a graph that OpenVINO can run") from error


def _shape(value: Any) -> list[int | None]:
    if value.partial_shape.rank.is_dynamic:
        return []
    return [n.get_length() if n.is_static else None for n in value.partial_shape]


def load(path: Path, options: EngineOptions) -> OpenVINOEngine:
    """Load an `.xml` file, its weights beside it: see `EngineModule.load`."""
    return OpenVINOEngine(path, options)
