"""Where graphs are tried: what each answers, and how sure it may be."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from viewfinder.datasets.photos import Photo
from viewfinder.engines.base import to_confidence
from viewfinder.engines.loader import LoadedVariant, load_variant
from viewfinder.errors import BundleError, OperatorError, TrainingStoppedError
from viewfinder.evaluation.calibration import abstain_threshold, fit_temperature
from viewfinder.evaluation.evaluate import targets_of
from viewfinder.evaluation.ladder import LeftOut
from viewfinder.evaluation.scoring import Scored, reference_of, score
from viewfinder.imaging.preprocess import preprocess
from viewfinder.pipelines.variants.golden import expected, golden_photos
from viewfinder.pipelines.variants.graphs import HEAD, Graph
from viewfinder.pipelines.variants.judges import Judges
from viewfinder.registry.bundle import Bundle, describe, write_bundle
from viewfinder.registry.manifest import (
    Calibration,
    Features,
    Golden,
    GoldenSample,
    Label,
    Manifest,
    Variant,
)
from viewfinder.training.progress import Listener

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)  # these bundles are gone before anybody sees them


@dataclass(frozen=True, slots=True)
class Tried:
    """Graphs that have answered.

    Attributes:
        graphs: All that were asked.
        bundle: Those that can be run, with their golden samples.
        scored: What each gave for the validation photos; empty where there are none.
        golden: The photos that prove a bundle on another machine, by their paths in it.
        left_out: The others, and why.
    """

    graphs: Mapping[str, Graph]
    bundle: Bundle
    scored: Mapping[str, Scored]
    golden: Mapping[str, bytes]
    left_out: tuple[LeftOut, ...]

    def variant(self, name: str) -> Variant:
        """As in a manifest, but for its speed."""
        return self.bundle.manifest.variant(name)


def try_out(graphs: Sequence[Graph], judges: Judges, folder: Path, listener: Listener) -> Tried:
    """Let each graph answer the validation photos and the golden ones.

    Args:
        graphs: The first one must work.
        judges: The photos.
        folder: An empty one, to put graphs in.
        listener: Hears how it goes.

    Raises:
        BundleError: The first graph cannot be run.
    """
    photos, golden = (
        judges.validation,
        golden_photos((*judges.validation, *judges.test), judges.limits),
    )
    contents = {path: data for graph in graphs for path, data in graph.files.items()}
    bundle = _write(folder / "asked", [_described(graph) for graph in graphs], contents, judges)
    listener.phase("evaluating", len(graphs) * len(photos))
    variants: list[Variant] = []
    scored: dict[str, Scored] = {}
    left_out: list[LeftOut] = []
    for number, graph in enumerate(graphs):
        try:
            with _loaded(bundle, graph.name, judges) as loaded:
                if photos:
                    scored[graph.name] = _ask(
                        loaded, photos, judges, listener, number * len(photos)
                    )
                    if scored[graph.name].photos != scored[graphs[0].name].photos:
                        raise BundleError("it cannot be asked about all the photos")
                variants.append(_proved(loaded, scored.get(graph.name), golden, judges))
        except TrainingStoppedError:
            raise
        except OperatorError as error:
            if number == 0:
                raise
            left_out.append(LeftOut(name=graph.name, why=error.detail.rstrip(".")))
    kept = {
        path: contents[path]
        for variant in variants
        for path in (variant.file.path, *(asset.path for asset in variant.assets))
    }
    kept |= {path: contents[path] for path in _heads(variants)}
    return Tried(
        graphs={graph.name: graph for graph in graphs},
        bundle=_write(folder / "proved", variants, {**kept, **golden}, judges),
        scored=scored,
        golden=golden,
        left_out=tuple(left_out),
    )


def score_test(tried: Tried, name: str, judges: Judges, listener: Listener) -> Scored:
    """What a graph gives for the test photos."""
    listener.phase("testing", len(judges.test))
    with _loaded(tried.bundle, name, judges) as loaded:
        return _ask(loaded, judges.test, judges, listener, 0)


def _described(graph: Graph) -> Variant:
    """A graph of which no more is known than what it is."""
    main, *assets = (describe(path, content) for path, content in graph.contents.items())
    return Variant(
        name=graph.name,
        format=graph.rung.format,
        engine=graph.rung.engine,
        file=main,
        assets=tuple(assets),
        preprocess=graph.spec,
        golden=Golden(tolerance=graph.rung.tolerance),
        features=None if graph.head is None else Features(weights=describe(HEAD, graph.head)),
    )


def _heads(variants: Sequence[Variant]) -> set[str]:
    return {one.features.weights.path for one in variants if one.features is not None}


def _write(
    folder: Path, variants: Sequence[Variant], contents: Mapping[str, bytes], judges: Judges
) -> Bundle:
    manifest = Manifest(
        name="unsealed",
        version=1,
        created=_NEVER,
        labels=tuple(Label(name=label) for label in judges.labels),
        variants=tuple(variants),
        recommended=variants[0].name,
        provenance={},
    )
    return write_bundle(folder / "unsealed" / "1", manifest, contents)


@contextmanager
def _loaded(bundle: Bundle, name: str, judges: Judges) -> Iterator[LoadedVariant]:
    """A graph, running as a server would run it."""
    loaded = load_variant(
        bundle,
        threads=judges.threads,
        variant=name,
        device=judges.device,
        cache=judges.cache,
    )
    try:
        yield loaded
    finally:
        loaded.engine.close()


def _ask(
    loaded: LoadedVariant, photos: Sequence[Photo], judges: Judges, listener: Listener, done: int
) -> Scored:
    return score(
        loaded,
        photos,
        limits=judges.limits,
        threads=judges.threads,
        progress=lambda now, _: listener.step(done + now),
    )


def _proved(
    loaded: LoadedVariant, scored: Scored | None, golden: Mapping[str, bytes], judges: Judges
) -> Variant:
    """A variant with its calibration, its accuracy, and what it says of the golden photos."""
    variant = loaded.variant
    calibration, accuracy, reference = judges.calibration, None, None
    if scored is not None and judges.labelled:
        targets = targets_of(scored.photos, judges.labels)
        temperature = fit_temperature(scored.scores, targets, output=variant.output)
        confidence = to_confidence(scored.scores, output=variant.output, temperature=temperature)
        calibration = Calibration(
            temperature=temperature, abstain_below=abstain_threshold(confidence, targets)
        )
        accuracy = float((scored.scores.argmax(axis=1) == targets).mean())
    if scored is not None:
        reference = reference_of(scored, output=variant.output, temperature=calibration.temperature)
    samples = []
    for path, data in golden.items():
        pixels = preprocess(data, variant.preprocess, judges.limits)
        answer = to_confidence(
            loaded.engine.predict(pixels[np.newaxis]),
            output=variant.output,
            temperature=calibration.temperature,
        )[0]
        samples.append(GoldenSample(file=describe(path, data), top=expected(answer)))
    return variant.model_copy(
        update={
            "calibration": calibration,
            "accuracy": accuracy,
            "reference": reference,
            "golden": Golden(tolerance=variant.golden.tolerance, samples=tuple(samples)),
        }
    )
