"""A bundle's variant to a running engine that has proved itself on its golden samples."""

import contextlib
import importlib
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.base import Engine, EngineModule, to_confidence
from viewfinder.errors import BundleError, RequestError
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant
from viewfinder.settings import Limits

# Imported by name, when a model asks for it: a server carries only the engines it runs.
_MODULES = {"litert": "viewfinder.engines.litert", "fake": "viewfinder.engines.fake"}


@dataclass(frozen=True, slots=True)
class LoadedVariant:
    """An engine and what is needed to ask it.

    Attributes:
        bundle: Where it came from.
        variant: Which of the bundle's graphs.
        engine: The graph, running.
    """

    bundle: Bundle
    variant: Variant
    engine: Engine

    def confidence(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated confidence, 0-1 float32 `[classes]`, for one uint8 `[H, W, 3]` image."""
        scores = self.engine.predict(pixels[np.newaxis])[0]
        return to_confidence(
            scores,
            output=self.variant.output,
            temperature=self.variant.calibration.temperature,
        )


def load_variant(bundle: Bundle, *, threads: int, variant: str | None = None) -> LoadedVariant:
    """Verify the file, load the graph, and let it answer its golden samples.

    Args:
        bundle: The model version.
        threads: Calls to be ready for side by side.
        variant: Which graph; the recommended one if not said.

    Raises:
        BundleError: The file, the graph or its answers are not what was sealed.
    """
    chosen = bundle.manifest.variant(variant)
    module = cast("EngineModule", importlib.import_module(_MODULES[chosen.engine]))
    engine = module.load(bundle.verified(chosen.file), threads=threads)
    loaded = LoadedVariant(bundle, chosen, engine)
    with contextlib.ExitStack() as undo:
        undo.callback(engine.close)
        _check_shapes(loaded)
        _check_golden(loaded)
        undo.pop_all()
    return loaded


def _check_shapes(loaded: LoadedVariant) -> None:
    spec, engine = loaded.variant.preprocess, loaded.engine
    if engine.input_shape != (spec.height, spec.width, 3):
        raise BundleError("the graph's input size is not the manifest's")
    if engine.classes != len(loaded.bundle.manifest.labels):
        raise BundleError(
            f"the graph has {engine.classes} classes, "
            f"the manifest {len(loaded.bundle.manifest.labels)} labels"
        )


def _check_golden(loaded: LoadedVariant) -> None:
    golden = loaded.variant.golden
    for sample in golden.samples:
        data = loaded.bundle.verified(sample.file).read_bytes()
        try:
            pixels = preprocess(data, loaded.variant.preprocess, Limits())
        except RequestError as error:
            raise BundleError(f"the golden sample {sample.file.path} is no photo") from error
        confidence = loaded.confidence(pixels)
        off = max(abs(float(confidence[s.index]) - s.confidence) for s in sample.top)
        if not off <= golden.tolerance:  # also when it is not a number
            raise BundleError(
                f"the golden sample {sample.file.path} is off by {off:.3f}, "
                f"more than the tolerance of {golden.tolerance}"
            )
