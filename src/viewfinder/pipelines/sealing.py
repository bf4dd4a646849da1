"""A Keras model into the variants of a bundle, each measured by the code that serves it."""

import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.conversion.litert import to_litert
from viewfinder.conversion.quantization import quantize_int8
from viewfinder.datasets.photos import Photo, Split
from viewfinder.datasets.reading import read_photo
from viewfinder.engines.base import to_confidence
from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import ConversionError, RequestError
from viewfinder.evaluation.calibration import abstain_threshold, fit_temperature
from viewfinder.evaluation.evaluate import SplitEvaluation, evaluate, targets_of
from viewfinder.evaluation.scoring import Scored, score
from viewfinder.imaging.decode import decode
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.imaging.thumbnail import small_jpeg
from viewfinder.pipelines.golden import expected
from viewfinder.registry.bundle import describe, write_bundle
from viewfinder.registry.manifest import (
    Calibration,
    Golden,
    GoldenSample,
    Label,
    Latency,
    Manifest,
    Variant,
)
from viewfinder.settings import Limits

FLOAT32, INT8 = "float32", "int8"
MOST_DROP = 0.01
"""Accuracy on the validation photos that the int8 variant may lose and still be recommended."""

_GOLDEN_PHOTOS = 3
_GOLDEN_SIDE = 512
_GOLDEN_QUALITY = 90
_TOLERANCES = {FLOAT32: 0.05, INT8: 0.1}
_TIMED_CALLS = 30


@dataclass(frozen=True, slots=True)
class Judges:
    """The photos that variants are measured with.

    Attributes:
        validation: Those that calibrate and choose.
        test: Those that nothing has been chosen by; may be none.
        labels: Every class, in the order of the model's output.
        limits: What will be decoded.
        threads: Photos to work on side by side.
        root: The folder from which a photo's path is told.
        seed: Of the resampling behind intervals.
    """

    validation: tuple[Photo, ...]
    test: tuple[Photo, ...]
    labels: tuple[str, ...]
    limits: Limits
    threads: int
    root: Path
    seed: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """What is to be published, but for its number and its documents.

    Attributes:
        variants: As in the manifest.
        recommended: One of them.
        contents: The files that they name.
        splits: How the recommended one does.
        float32: What the float32 graph gave, for the splits that it was asked for.
    """

    variants: tuple[Variant, ...]
    recommended: Variant
    contents: Mapping[str, bytes]
    splits: Mapping[Split, SplitEvaluation]
    float32: Mapping[Split, Scored]


def convert(
    model: Any, photos: Sequence[NDArray[np.uint8]], *, int8: bool, note: Callable[[str], None]
) -> dict[str, bytes]:
    """The graphs of a model by the names of their variants.

    Args:
        model: A `keras.Model` of uint8 photos to logits.
        photos: To calibrate int8 with, uint8 `[S, S, 3]`.
        int8: Whether it is wanted.
        note: Is told why there is none.
    """
    graphs = {FLOAT32: to_litert(model)}
    if int8:
        try:
            graphs[INT8] = quantize_int8(graphs[FLOAT32], photos)
        except ConversionError as error:
            note(f"There is no int8 variant: {error.detail}.")
    return graphs


def seal(
    graphs: Mapping[str, bytes],
    spec: PreprocessSpec,
    judges: Judges,
    *,
    progress: Callable[[int, int], None],
) -> Sealed:
    """Calibrate each graph, choose one, and measure it, all by the way of serving.

    Of two graphs the quicker one on this machine is recommended, if int8 loses no more than a point
    of accuracy on the validation photos.

    Args:
        graphs: Float32 and perhaps int8.
        spec: Their geometry.
        judges: The photos to measure with.
        progress: Is told how many photos are done, and of how many.
    """
    steps = len(graphs) * len(judges.validation) + len(judges.test)
    done = 0

    def ask(loaded: LoadedVariant, photos: tuple[Photo, ...]) -> Scored:
        nonlocal done
        found = score(
            loaded,
            photos,
            limits=judges.limits,
            threads=judges.threads,
            progress=lambda now, _: progress(done + now, steps),
        )
        done += len(photos)
        return found

    golden = _golden_photos(judges)
    variants: dict[str, Variant] = {}
    validations: dict[str, Scored] = {}
    with _loaded(graphs, spec, judges) as loaded:
        for name, graph in loaded.items():
            if judges.validation:
                validations[name] = ask(graph, judges.validation)
            variants[name] = _measured(graph, validations.get(name), golden, judges)
        best = _recommended(variants)
        scored: dict[Split, Scored] = {}
        float32: dict[Split, Scored] = {}
        if judges.validation:
            scored["validation"] = validations[best.name]
            float32["validation"] = validations[FLOAT32]
        if judges.test:
            scored["test"] = ask(loaded[best.name], judges.test)
            if best.name == FLOAT32:
                float32["test"] = scored["test"]
    contents = {_file(name): graph for name, graph in graphs.items()}
    return Sealed(
        variants=tuple(variants.values()),
        recommended=best,
        contents={**contents, **golden},
        splits={
            split: evaluate(best, judges.labels, found, seed=judges.seed, root=judges.root)
            for split, found in scored.items()
        },
        float32=float32,
    )


@contextmanager
def _loaded(
    graphs: Mapping[str, bytes], spec: PreprocessSpec, judges: Judges
) -> Iterator[dict[str, LoadedVariant]]:
    """The graphs, running as a server would run them."""
    variants = tuple(
        Variant(
            name=name,
            format="litert",
            engine="litert",
            file=describe(_file(name), graph),
            preprocess=spec,
            golden=Golden(tolerance=_TOLERANCES[name]),
        )
        for name, graph in graphs.items()
    )
    manifest = Manifest(
        name="unsealed",
        version=1,
        created=datetime.now(UTC),
        labels=tuple(Label(name=label) for label in judges.labels),
        variants=variants,
        recommended=variants[0].name,
        provenance={},
    )
    with tempfile.TemporaryDirectory() as scratch:
        bundle = write_bundle(
            Path(scratch) / "unsealed" / "1",
            manifest,
            {_file(name): graph for name, graph in graphs.items()},
        )
        running = {
            name: load_variant(bundle, threads=judges.threads, variant=name) for name in graphs
        }
        try:
            yield running
        finally:
            for one in running.values():
                one.engine.close()


def _measured(
    loaded: LoadedVariant, scored: Scored | None, golden: Mapping[str, bytes], judges: Judges
) -> Variant:
    """A variant with its calibration, its golden samples, its accuracy and its speed."""
    variant = loaded.variant
    calibration, accuracy = Calibration(), None
    if scored is not None:
        targets = targets_of(scored.photos, judges.labels)
        temperature = fit_temperature(scored.scores, targets, output=variant.output)
        confidence = to_confidence(scored.scores, output=variant.output, temperature=temperature)
        calibration = Calibration(
            temperature=temperature, abstain_below=abstain_threshold(confidence, targets)
        )
        accuracy = float((scored.scores.argmax(axis=1) == targets).mean())
    pixels = {
        path: preprocess(data, variant.preprocess, judges.limits) for path, data in golden.items()
    }
    samples = []
    for path, data in golden.items():
        row = to_confidence(
            loaded.engine.predict(pixels[path][np.newaxis]),
            output=variant.output,
            temperature=calibration.temperature,
        )[0]
        samples.append(GoldenSample(file=describe(path, data), top=expected(row)))
    return variant.model_copy(
        update={
            "calibration": calibration,
            "accuracy": accuracy,
            "golden": Golden(tolerance=variant.golden.tolerance, samples=tuple(samples)),
            "latency": _latency(loaded),
        }
    )


def _recommended(variants: Mapping[str, Variant]) -> Variant:
    float32, int8 = variants[FLOAT32], variants.get(INT8)
    if int8 is None or int8.latency is None or float32.latency is None:
        return float32
    if int8.accuracy is None or float32.accuracy is None:
        return float32  # nobody knows what int8 has lost
    if int8.accuracy < float32.accuracy - MOST_DROP:
        return float32
    return int8 if int8.latency.p50_ms <= float32.latency.p50_ms else float32


def _latency(loaded: LoadedVariant) -> Latency:
    """Of one photo in one thread."""
    height, width, _ = loaded.engine.input_shape
    photo = np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8)
    times = []
    for _ in range(_TIMED_CALLS):
        began = time.perf_counter()
        loaded.engine.predict(photo)
        times.append(time.perf_counter() - began)
    return Latency(p50_ms=round(1000 * float(np.median(times)), 3), machine=machine())


def machine() -> str:
    """The processor of this machine, as people call it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _golden_photos(judges: Judges) -> dict[str, bytes]:
    """A few photos that prove a bundle on another machine, by their paths in it.

    They are written anew, small and without what else a photo's file tells: where it was taken,
    when, by whom. One of each of the first classes, so that a graph of noise cannot pass.
    """
    chosen: dict[str, bytes] = {}
    seen: set[str] = set()
    for photo in (*judges.validation, *judges.test):
        if len(chosen) == _GOLDEN_PHOTOS:
            break
        if photo.label in seen:
            continue
        try:
            image = decode(read_photo(photo.path, judges.limits.image_bytes), limits=judges.limits)
        except RequestError:  # it was there when training began; others will do
            continue
        seen.add(photo.label)
        written, _ = small_jpeg(image, _GOLDEN_SIDE, quality=_GOLDEN_QUALITY)
        chosen[f"golden/{len(chosen) + 1}.jpg"] = written
    return chosen


def _file(name: str) -> str:
    return f"model.{name}.tflite"
