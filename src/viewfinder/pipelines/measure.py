"""How fast a backbone is on this machine."""

import contextlib
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from viewfinder.conversion.litert import to_litert
from viewfinder.engines.base import EngineOptions
from viewfinder.engines.litert import LiteRTEngine
from viewfinder.modeling.backbones import Backbone
from viewfinder.modeling.classifier import build_classifier

_CLASSES = 1000
_WARM_UP = 3
_PHOTOS = 21


def measure(backbone: Backbone) -> float:
    """Build the backbone with random weights, convert it, and let it see photos of noise.

    Returns:
        Milliseconds for one photo on one thread, the median, without decoding it.
    """
    graph = to_litert(build_classifier(backbone, _CLASSES))
    side = backbone.input_size
    photo = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(graph)
        seconds = []
        with contextlib.closing(LiteRTEngine(path, EngineOptions(threads=1))) as engine:
            for _ in range(_WARM_UP + _PHOTOS):
                start = time.perf_counter()
                engine.predict(photo)
                seconds.append(time.perf_counter() - start)
    return round(statistics.median(seconds[_WARM_UP:]) * 1000, 1)
