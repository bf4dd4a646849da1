"""A bundle's variant to a running engine that has proved itself on its golden samples."""

import contextlib
import importlib
import importlib.util
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines import plugins
from viewfinder.engines.base import (
    Device,
    Engine,
    EngineModule,
    EngineOptions,
    FeatureEngine,
    to_confidence,
)
from viewfinder.engines.head import read_head
from viewfinder.errors import BundleError, MissingExtraError, RequestError
from viewfinder.imaging.preprocess import preprocess
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Variant
from viewfinder.settings import Limits


@dataclass(frozen=True, slots=True)
class Runtime:
    """What runs an engine's graphs.

    Attributes:
        title: What people call it.
        package: What the engine's file imports.
        distributions: The packages that may bring it.
        extra: Viewfinder's extra that asks for it; None if it is always there.
    """

    title: str
    package: str
    distributions: tuple[str, ...]
    extra: str | None = None


RUNTIMES = {
    "litert": Runtime("LiteRT", "ai_edge_litert", ("ai-edge-litert",)),
    "onnx": Runtime("ONNX Runtime", "onnxruntime", ("onnxruntime", "onnxruntime-gpu"), "onnx"),
    "openvino": Runtime("OpenVINO", "openvino", ("openvino",), "openvino"),
    "tensorflow": Runtime(
        "TensorFlow", "tensorflow", ("tensorflow-cpu", "tensorflow"), "tensorflow"
    ),
    "fake": Runtime("the fake engine", "viewfinder", ("viewfinder",)),
}


@dataclass(frozen=True, slots=True)
class LoadedVariant:
    """An engine and what is needed to ask it.

    Attributes:
        bundle: Where it came from.
        variant: Which of the bundle's graphs.
        engine: The graph, running.
        head: float32 `[F, classes]`, what the head makes of the feature map of `F` channels; None
            where the graph gives none.
    """

    bundle: Bundle
    variant: Variant
    engine: Engine
    head: NDArray[np.float32] | None = None

    def confidence(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated confidence, 0-1 float32 `[classes]`, for one uint8 `[H, W, 3]` image."""
        row: NDArray[np.float32] = self.confidences(pixels[np.newaxis])[0]
        return row

    def confidences(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated confidence, 0-1 float32 `[N, classes]`, for uint8 `[N, H, W, 3]` images."""
        return to_confidence(
            self.engine.predict(batch),
            output=self.variant.output,
            temperature=self.variant.calibration.temperature,
        )

    def features(self, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Feature maps, float32 `[N, h, w, F]`, for uint8 `[N, H, W, 3]`, if there is a head."""
        return cast("FeatureEngine", self.engine).features(batch)


def load_variant(
    bundle: Bundle,
    *,
    threads: int,
    variant: str | None = None,
    device: Device = "cpu",
    cache: Path | None = None,
) -> LoadedVariant:
    """Verify the files, load the graph, warm it up, and let it answer its golden samples.

    Args:
        bundle: The model version.
        threads: Calls to be ready for side by side.
        variant: Which graph; the recommended one if not said.
        device: Where to run, for engines that have the choice.
        cache: A folder for what the engine compiles.

    Raises:
        BundleError: The file, the graph or its answers are not what was sealed.
        EngineError: Its engine is another package's, and fails.
        MissingEngineError: No installed package brings its engine.
        MissingExtraError: Its engine is not installed.
    """
    chosen = bundle.manifest.variant(variant)
    module = engine_module(chosen.engine)
    path = bundle.verified(chosen.file)
    for asset in chosen.assets:
        bundle.verified(asset)
    options = EngineOptions(threads, chosen.scaling, device, cache)
    head = None if chosen.features is None else read_head(bundle.verified(chosen.features.weights))
    with _blaming(chosen.engine), contextlib.ExitStack() as undo:
        loaded = LoadedVariant(bundle, chosen, module.load(path, options), head)
        undo.callback(loaded.engine.close)
        _check_traits(loaded.engine)
        _check_shapes(loaded)
        _check_features(loaded)
        _warm(loaded.engine)
        _check_golden(loaded)
        undo.pop_all()
    return loaded


def check_installed(engine: str) -> None:
    """Check that an engine can be loaded, without loading it.

    Raises:
        EngineError: Several packages bring it.
        MissingEngineError: No installed package brings it.
        MissingExtraError: What it needs is not installed.
    """
    if engine not in RUNTIMES:
        plugins.find(engine)
        return
    runtime = RUNTIMES[engine]
    if runtime.extra is not None and importlib.util.find_spec(runtime.package) is None:
        raise MissingExtraError(runtime.title, runtime.extra)


def engine_module(name: str) -> EngineModule:
    """The file of an engine. Imported by name: a server carries only the engines it runs.

    The name comes from a manifest: Viewfinder's own come first, and of all others only what an
    installed package offers is imported.

    Raises:
        EngineError: It is another package's, and cannot be imported.
        MissingEngineError: No installed package brings it.
        MissingExtraError: What it needs is not installed.
    """
    if name not in RUNTIMES:
        return plugins.import_engine(name)
    try:
        return cast("EngineModule", importlib.import_module(f"viewfinder.engines.{name}"))
    except ModuleNotFoundError as error:
        runtime = RUNTIMES[name]
        if runtime.extra is None or (error.name or "").partition(".")[0] != runtime.package:
            raise
        raise MissingExtraError(runtime.title, runtime.extra) from error


def distributions(engine: str) -> tuple[str, ...]:
    """The packages that an engine's graphs may be run by.

    Raises:
        EngineError: Several packages bring it.
        MissingEngineError: No installed package brings it.
    """
    if engine in RUNTIMES:
        return RUNTIMES[engine].distributions
    found = plugins.find(engine).dist
    return () if found is None else (found.name,)


def _blaming(engine: str) -> contextlib.AbstractContextManager[None]:
    """What a plug-in raises is an error that names it; our own engines are not to raise any."""
    if engine in RUNTIMES:
        return contextlib.nullcontext()
    return plugins.blaming(plugins.find(engine), "failed over the graph")


def _check_traits(engine: Engine) -> None:
    traits = engine.traits
    if min(traits.instances, traits.max_useful_batch) < 1 or traits.device not in {"cpu", "gpu"}:
        raise BundleError(f"nothing can be scheduled by {traits}")


def _check_shapes(loaded: LoadedVariant) -> None:
    spec, engine = loaded.variant.preprocess, loaded.engine
    if engine.input_shape != (spec.height, spec.width, 3):
        raise BundleError("the graph's input size is not the manifest's")
    if engine.classes != len(loaded.bundle.manifest.labels):
        raise BundleError(
            f"the graph has {engine.classes} classes, "
            f"the manifest {len(loaded.bundle.manifest.labels)} labels"
        )


def _check_features(loaded: LoadedVariant) -> None:
    if loaded.head is None:
        return
    shape = getattr(loaded.engine, "feature_shape", None)
    if shape is None:
        raise BundleError("the manifest has the weights of a head, and the graph no feature map")
    wanted = (shape[2], loaded.engine.classes)
    if loaded.head.shape != wanted:
        raise BundleError(
            f"the weights of the head have the shape {list(loaded.head.shape)}, "
            f"the graph's features and classes are {list(wanted)}"
        )


def _warm(engine: Engine) -> None:
    """Let every instance, at every size of batch that will be asked, do its first slow call."""
    with ThreadPoolExecutor(engine.traits.instances) as side_by_side:
        for size in {1, engine.traits.max_useful_batch}:
            blank = np.zeros((size, *engine.input_shape), np.uint8)
            # One after the other, they would all go to the same instance.
            answers = list(side_by_side.map(engine.predict, [blank] * engine.traits.instances))
            wanted = (size, engine.classes)
            if any(scores.shape != wanted or scores.dtype != np.float32 for scores in answers):
                raise BundleError(f"the scores are not float32 {list(wanted)}")


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
