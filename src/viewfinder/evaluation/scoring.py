"""What a model says of each photo of a data set: the way of serving, from the file's bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from viewfinder.datasets.photos import Photo, Skipped
from viewfinder.datasets.reading import read_photo
from viewfinder.engines.base import to_confidence
from viewfinder.engines.loader import LoadedVariant
from viewfinder.errors import BundleError, DatasetError, RequestError
from viewfinder.imaging.preprocess import preprocess
from viewfinder.imaging.statistics import ImageStatistics, image_statistics
from viewfinder.registry.reference import Reference
from viewfinder.settings import Limits
from viewfinder.shared.side_by_side import side_by_side


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """Photos and what the graph gave for them.

    Attributes:
        photos: Those that could be decoded, in the order in which they were given.
        scores: float32 `[N, C]`, as the engine gave them, before temperature and softmax.
        skipped: The others.
        statistics: What the photos look like to the model, in the same order.
    """

    photos: tuple[Photo, ...]
    scores: NDArray[np.float32]
    skipped: tuple[Skipped, ...]
    statistics: tuple[ImageStatistics, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class _Input:
    pixels: NDArray[np.uint8]
    statistics: ImageStatistics


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    scores: NDArray[np.float32]
    statistics: ImageStatistics


_Row = _Answer | Skipped


def score(
    loaded: LoadedVariant,
    photos: Sequence[Photo],
    *,
    limits: Limits,
    threads: int,
    progress: Callable[[int, int], None],
) -> Scored:
    """Ask the model for each photo. Of a photo, only its scores and statistics are kept.

    Args:
        loaded: The model, loaded for as many threads.
        photos: Which.
        limits: What will be read and decoded, as in serving.
        threads: Photos that are worked on side by side.
        progress: Is told how many are done, and of how many, in the caller's thread.

    Raises:
        DatasetError: Not one photo can be decoded.
        BundleError: The graph gives no finite numbers for one.
    """
    rows: list[_Row] = []
    size = loaded.engine.traits.max_useful_batch
    batches = (photos[start : start + size] for start in range(0, len(photos), size))
    for found in side_by_side(lambda some: _ask(loaded, some, limits), batches, threads=threads):
        rows += found
        progress(len(rows), len(photos))
    skipped = tuple(row for row in rows if isinstance(row, Skipped))
    kept = [
        (photo, row)
        for photo, row in zip(photos, rows, strict=True)
        if not isinstance(row, Skipped)
    ]
    if not kept:
        first = f"; {skipped[0].photo.path}: {skipped[0].reason}" if skipped else ""
        raise DatasetError(f"no photo could be scored{first}")
    scores = np.stack([row.scores for _, row in kept])
    unusable = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if unusable.size:
        raise BundleError(f"the graph gives no finite numbers for {kept[unusable[0]][0].path.name}")
    statistics = tuple(row.statistics for _, row in kept)
    return Scored(tuple(photo for photo, _ in kept), scores, skipped, statistics)


def confidences(
    scores: NDArray[np.float32], *, output: str, temperature: float
) -> NDArray[np.float32]:
    """Confidence as serving works it out: a row at a time, so that not a bit is different.

    Over a whole array, a vector instruction might meet the same number in another place, where it
    is rounded in another way.

    Args:
        scores: float32 `[N, C]`.
        output: `logits` or `probabilities`.
        temperature: Logits are divided by it.

    Returns:
        float32 `[N, C]`, 0-1, each row with the sum 1.
    """
    confidence = np.empty(scores.shape, np.float32)
    for n in range(len(scores)):
        confidence[n] = to_confidence(scores[n : n + 1], output=output, temperature=temperature)[0]
    return confidence


def reference_of(scored: Scored, *, output: str, temperature: float) -> Reference:
    """What a variant says of photos, as a server will say it, to compare later ones with.

    Args:
        scored: The photos, and what the graph gave for them.
        output: `logits` or `probabilities`.
        temperature: Logits are divided by it.
    """
    found = confidences(scored.scores, output=output, temperature=temperature)
    return Reference.of(
        found.argmax(axis=1).tolist(), found.max(axis=1).tolist(), scored.statistics
    )


def _ask(loaded: LoadedVariant, photos: Sequence[Photo], limits: Limits) -> list[_Row]:
    decoded = [_decode(photo, loaded, limits) for photo in photos]
    good = [one.pixels for one in decoded if not isinstance(one, Skipped)]
    scores = iter(loaded.engine.predict(np.stack(good)) if good else ())
    return [
        one if isinstance(one, Skipped) else _Answer(next(scores), one.statistics)
        for one in decoded
    ]


def _decode(photo: Photo, loaded: LoadedVariant, limits: Limits) -> _Input | Skipped:
    try:
        data = read_photo(photo.path, limits.image_bytes)
        pixels = preprocess(data, loaded.variant.preprocess, limits)
    except RequestError as error:
        return Skipped(photo, error.detail)
    return _Input(pixels, image_statistics(pixels))
