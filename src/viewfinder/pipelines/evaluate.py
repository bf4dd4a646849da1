"""A model of the store, or two, on somebody's photos."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from viewfinder import __version__
from viewfinder.datasets.photos import SPLITS, Dataset, Photo
from viewfinder.engines.apart.probe import probe
from viewfinder.engines.loader import load_variant
from viewfinder.errors import DatasetError, InvalidParameterError
from viewfinder.evaluation.document import Comparison, Evaluation, Part
from viewfinder.evaluation.evaluate import evaluate, targets_of
from viewfinder.evaluation.ladder import VariantRow
from viewfinder.evaluation.metrics import Bools, is_right
from viewfinder.evaluation.scoring import Scored, confidences, score
from viewfinder.evaluation.significance import compare
from viewfinder.registry.bundle import Bundle
from viewfinder.registry.manifest import Manifest, Variant
from viewfinder.registry.store import is_builtin
from viewfinder.settings import Settings

PARTS: tuple[Part, ...] = (*SPLITS, "all")
_SEED = 0
_SHOWN = 5

Progress = Callable[[str, int, int], None]
"""Is told which model is at work, how many photos are done, and of how many."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The photos to evaluate on.

    Attributes:
        part: Which part of the data set they are.
        photos: Those whose label every model knows.
        ignored: How many others there are.
    """

    part: Part
    photos: tuple[Photo, ...]
    ignored: int


def evaluate_model(
    bundle: Bundle,
    dataset: Dataset,
    *,
    settings: Settings,
    created: datetime,
    progress: Progress,
    against: Bundle | None = None,
    part: Part | None = None,
    variant: str | None = None,
    known_only: bool = False,
) -> Evaluation:
    """Let a model answer the photos as it would when served, and look at its answers.

    Args:
        bundle: The model.
        dataset: The photos.
        settings: Threads, device and limits, as in serving.
        created: Now.
        progress: Is told how far it has come.
        against: A model to compare with.
        part: A split of the data set, or all of it; if not said, the test split, else the
            validation split, else all.
        variant: Which of the model's graphs; the recommended one if not said.
        known_only: Leave photos out whose label a model does not know.

    Raises:
        DatasetError: There are no photos to evaluate on, or a label is unknown.
        InvalidParameterError: There is no such variant.
        BundleError: The model cannot be used.
    """
    if variant is not None and variant not in (names := _variants(bundle.manifest)):
        raise InvalidParameterError(
            f"{bundle.manifest.called} has no variant {variant!r}; it has {', '.join(names)}"
        )
    bundles = [bundle] if against is None else [bundle, against]
    chosen = choose(dataset, part, [one.manifest for one in bundles], known_only=known_only)
    bench = _Bench(dataset, chosen, settings, created, progress)
    found, right = bench.examine(bundle, variant)
    if against is None:
        return found
    other, other_right = bench.examine(against, None)
    both = [photo for photo in right if photo in other_right]
    compared = compare(_flags(other_right, both), _flags(right, both), seed=_SEED)
    return found.model_copy(update={"comparison": Comparison.of(other, compared)})


def choose(
    dataset: Dataset, part: Part | None, models: Sequence[Manifest], *, known_only: bool
) -> Chosen:
    """The photos that models can be evaluated on.

    Raises:
        DatasetError: There are none, or one has a label that a model does not know.
    """
    splits = [split for split in SPLITS if dataset.of(split)]
    if part is None:
        part = next((split for split in ("test", "validation") if split in splits), "all")
    if part == "all":
        photos = dataset.photos
    elif part in splits:
        photos = dataset.of(part)
    else:
        there = f"it has {', '.join(splits)}" if splits else "it is not split"
        raise DatasetError(f"{dataset.source} has no split {part!r}: {there}")
    for manifest in models:
        _check_labels(photos, manifest, known_only=known_only)
    known = set.intersection(*({label.name for label in one.labels} for one in models))
    kept = tuple(photo for photo in photos if photo.label in known)
    return Chosen(part, kept, len(photos) - len(kept))


def _check_labels(photos: Sequence[Photo], manifest: Manifest, *, known_only: bool) -> None:
    labels = [label.name for label in manifest.labels]
    unknown = Counter(photo.label for photo in photos if photo.label not in set(labels))
    if not unknown or (known_only and unknown.total() < len(photos)):
        return
    hint = "" if unknown.total() == len(photos) else "; --known-only leaves them out"
    raise DatasetError(
        f"{manifest.called} does not know {_few(list(unknown))} "
        f"({unknown.total():,} of {len(photos):,} photos); it knows {_few(labels)}{hint}"
    )


def _few(labels: Sequence[str]) -> str:
    rest = len(labels) - _SHOWN
    return ", ".join(map(repr, labels[:_SHOWN])) + (f" and {rest:,} more" if rest > 0 else "")


@dataclass(frozen=True, slots=True)
class _Bench:
    """What is the same for each model."""

    dataset: Dataset
    chosen: Chosen
    settings: Settings
    created: datetime
    progress: Progress

    def examine(self, bundle: Bundle, variant: str | None) -> tuple[Evaluation, dict[Photo, bool]]:
        """What is found about a model, and which photos it has right."""
        manifest = bundle.manifest
        used = manifest.variant(variant)
        labels = [label.name for label in manifest.labels]
        scored = self._score(bundle, used)
        evaluation = Evaluation(
            name=manifest.name,
            version=manifest.version,
            variant=used.name,
            created=self.created,
            data=self.dataset.name,
            labels=len(labels),
            splits={
                self.chosen.part: evaluate(used, labels, scored, seed=_SEED, root=self.dataset.root)
            },
            ignored=self.chosen.ignored,
            variants=tuple(map(_row, manifest.variants)),
            provenance={
                "bundle": bundle.digest,
                "sealed": manifest.created.isoformat(),
                "evaluated by": f"viewfinder {__version__}",
                **manifest.provenance,
            },
        )
        confidence = confidences(
            scored.scores, output=used.output, temperature=used.calibration.temperature
        )
        right = is_right(confidence, targets_of(scored.photos, labels))
        return evaluation, dict(zip(scored.photos, right.tolist(), strict=True))

    def _score(self, bundle: Bundle, variant: Variant) -> Scored:
        settings, called = self.settings, bundle.manifest.called
        threads = settings.compute_threads
        # As serving does: what comes with the package is trusted as the package is.
        if not is_builtin(bundle) and variant.engine != "fake":
            probe(bundle, threads=threads, device=settings.device, passed=settings.home / "probed")
        loaded = load_variant(
            bundle,
            threads=threads,
            variant=variant.name,
            device=settings.device,
            cache=settings.home / "compiled",
        )
        try:
            return score(
                loaded,
                self.chosen.photos,
                limits=settings.limits,
                threads=threads,
                progress=lambda done, total: self.progress(called, done, total),
            )
        finally:
            loaded.engine.close()


def _row(variant: Variant) -> VariantRow:
    return VariantRow(
        name=variant.name,
        bytes=variant.size,
        accuracy=variant.accuracy,
        p50_ms=variant.latency.p50_ms if variant.latency is not None else None,
    )


def _flags(right: dict[Photo, bool], photos: Sequence[Photo]) -> Bools:
    return np.array([right[photo] for photo in photos], np.bool_)


def _variants(manifest: Manifest) -> list[str]:
    return [variant.name for variant in manifest.variants]
