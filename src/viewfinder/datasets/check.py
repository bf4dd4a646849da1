"""What is wrong with a data set, before anything is learned from it."""

import hashlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from viewfinder.datasets.duplicates import fingerprints, group
from viewfinder.datasets.photos import SPLITS, Dataset, Photo, Skipped, Split
from viewfinder.datasets.reading import read_photo, side_by_side
from viewfinder.datasets.split import assign_splits
from viewfinder.errors import ViewfinderError
from viewfinder.imaging.decode import upright_size
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits

TINY: Final = 20
"""Photos to learn a class from, under which it is reported."""
SKEW: Final = 10
"""How often the largest class may have the photos of the smallest."""
SMALL: Final = 64
"""Pixels of the shorter side, under which a photo is reported."""
LONG: Final = 4
"""How often the longer side may be the shorter."""
_SMALLER = 4
"""How often the usual photo may have the width and height of one that is not reported."""
_GLANCE = PreprocessSpec(width=64, height=64)
"""Enough for a fingerprint, and of the same part of a photo as a model is trained with."""


class _Finding(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassCount(_Finding):
    """A class and its photos that can be used.

    Attributes:
        label: The class.
        photos: All of them.
        train: To learn from; if the data set has no splits, as training would make them.
        validation: To choose by, likewise.
        test: To measure with, likewise.
    """

    label: str
    photos: int
    train: int
    validation: int
    test: int


class Corrupt(_Finding):
    """A photo that cannot be used, and why."""

    path: str
    reason: str


class Copy(_Finding):
    """One of several photos that are the same, or look it."""

    path: str
    label: str
    split: Split | None


class Skew(_Finding):
    """Two classes of very different size, and how often the larger is the smaller."""

    largest: str
    smallest: str
    ratio: float


class Size(_Finding):
    """A photo of a suspicious size, in pixels, upright."""

    path: str
    width: int
    height: int
    reason: str


class Suspect(_Finding):
    """A photo whose label is probably wrong.

    Attributes:
        path: The photo.
        label: What the data set says.
        suggested: What the model says.
        confidence: Of the model in that, 0-1.
        split: Where it is; a model that has learned a wrong label may agree with it.
    """

    path: str
    label: str
    suggested: str
    confidence: float
    split: Split | None


class Findings(_Finding):
    """Everything that `viewfinder data check` has to say. Groups are in the order of paths.

    Attributes:
        source: What was read.
        photos: How many can be used.
        is_split: Whether the data set says itself which photos are for what.
        classes: In alphabetical order.
        corrupt: Photos that cannot be used.
        exact_duplicates: Groups of files with the same content.
        near_duplicates: Groups of photos that look the same, at least two of them different files.
        leaks: Those of both kinds that are in more than one given split.
        conflicts: Those of both kinds that have more than one label.
        tiny_classes: Classes with fewer than `TINY` photos to learn from.
        skew: The largest and the smallest class to learn from, if they differ by more than `SKEW`.
        sizes: Photos that are very small, very long, or much smaller than the others.
        passed_over: Files that are not called as a photo is, or are of no class.
        model: The model that was asked about labels, if one was.
        wrong_labels: Likely wrong labels, the most suspicious first; None if no model was asked.
    """

    source: str
    photos: int
    is_split: bool
    classes: tuple[ClassCount, ...]
    corrupt: tuple[Corrupt, ...]
    exact_duplicates: tuple[tuple[Copy, ...], ...]
    near_duplicates: tuple[tuple[Copy, ...], ...]
    leaks: tuple[tuple[Copy, ...], ...]
    conflicts: tuple[tuple[Copy, ...], ...]
    tiny_classes: tuple[ClassCount, ...]
    skew: Skew | None
    sizes: tuple[Size, ...]
    passed_over: tuple[str, ...]
    model: str | None = None
    wrong_labels: tuple[Suspect, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a look at a photo gave."""

    photo: Photo
    digest: str
    mark: np.uint64
    size: tuple[int, int]


def check_dataset(
    dataset: Dataset, *, limits: Limits, threads: int, progress: Callable[[int, int], None]
) -> Findings:
    """Look at every photo once. Nothing is kept, and nothing is changed.

    Args:
        dataset: The photos.
        limits: What will be decoded.
        threads: To work with.
        progress: Told from this thread how many photos are done, and of how many.
    """
    seen: list[_Seen] = []
    skipped = list(dataset.skipped)
    looks = side_by_side(lambda photo: _look(photo, limits), dataset.photos, threads=threads)
    for done, look in enumerate(looks, 1):
        if isinstance(look, Skipped):
            skipped.append(look)
        else:
            seen.append(look)
        progress(done, len(dataset.photos))
    # The order of contents, so that the splits are those that training would make.
    seen.sort(key=lambda one: (one.digest, one.photo.path))
    digests = [one.digest for one in seen]
    groups = group(digests, np.array([one.mark for one in seen], np.uint64))
    copies = _groups(groups, seen)
    exact = _groups(digests, seen)
    classes = _count(dataset, assign_splits([one.photo for one in seen], groups, seed=0))
    return Findings(
        source=str(dataset.source),
        photos=len(seen),
        is_split=dataset.is_split,
        classes=classes,
        corrupt=tuple(
            Corrupt(path=str(one.photo.path), reason=one.reason)
            for one in sorted(skipped, key=lambda one: one.photo.path)
        ),
        exact_duplicates=_shown(exact),
        near_duplicates=_shown(same for same in copies if len({one.digest for one in same}) > 1),
        leaks=_shown(same for same in copies if len({one.photo.split for one in same}) > 1),
        conflicts=_shown(same for same in copies if len({one.photo.label for one in same}) > 1),
        tiny_classes=tuple(one for one in classes if one.train < TINY),
        skew=_skew(classes),
        sizes=_sizes(seen),
        passed_over=tuple(map(str, dataset.passed_over)),
    )


def wrong_labels(confidence: NDArray[np.float32], targets: Sequence[int]) -> list[tuple[int, int]]:
    """Photos whose label is probably wrong, by confident learning.

    Northcutt, Jiang and Chuang, Confident learning (JAIR 2021): a class is
    believed where its confidence reaches the mean that it has among photos labelled so. A photo in
    which another class than its label is believed is off the diagonal of the confident joint; they
    are ranked by normalised margin.

    Args:
        confidence: `[N, C]`, 0-1, of a model that has preferably not seen these photos.
        targets: `[N]`, the class of each photo's label.

    Returns:
        The place of each such photo and the class that is believed, most suspicious first.
    """
    if not len(targets):
        return []
    given = np.asarray(targets)
    rows = np.arange(len(given))
    own = confidence[rows, given].astype(np.float64)
    counts = np.bincount(given, minlength=confidence.shape[1])
    sums = np.bincount(given, weights=own, minlength=confidence.shape[1])
    # A class that no label names has no mean: it is not believed.
    thresholds = np.divide(sums, counts, out=np.full(len(counts), np.inf), where=counts > 0)
    believed = np.where(confidence >= thresholds, confidence, -1)
    best = believed.argmax(axis=1)
    off = (believed[rows, best] >= 0) & (best != given)
    others = confidence.astype(np.float64)
    others[rows, given] = -1
    margin = own - others.max(axis=1)
    ranked = rows[off][np.argsort(margin[off], kind="stable")]
    return [(int(place), int(best[place])) for place in ranked]


def _look(photo: Photo, limits: Limits) -> _Seen | Skipped:
    try:
        data = read_photo(photo.path, limits.image_bytes)
        pixels = preprocess(data, _GLANCE, limits)
        size = upright_size(data)
    except ViewfinderError as error:
        return Skipped(photo, error.detail)
    mark = fingerprints(pixels[np.newaxis])[0]
    return _Seen(photo, hashlib.sha256(data).hexdigest(), mark, size)


def _groups(keys: Iterable[int | str], seen: Sequence[_Seen]) -> list[list[_Seen]]:
    """Those of the same key, where there are several; in the order of paths."""
    together: dict[int | str, list[_Seen]] = defaultdict(list)
    for key, one in zip(keys, seen, strict=True):
        together[key].append(one)
    several = [
        sorted(same, key=lambda one: one.photo.path) for same in together.values() if len(same) > 1
    ]
    return sorted(several, key=lambda same: same[0].photo.path)


def _shown(groups: Iterable[list[_Seen]]) -> tuple[tuple[Copy, ...], ...]:
    return tuple(
        tuple(
            Copy(path=str(one.photo.path), label=one.photo.label, split=one.photo.split)
            for one in same
        )
        for same in groups
    )


def _count(dataset: Dataset, photos: Sequence[Photo]) -> tuple[ClassCount, ...]:
    counts = Counter((photo.label, photo.split) for photo in photos)
    found = []
    for label in dataset.labels:
        train, validation, test = (counts[label, split] for split in SPLITS)
        found.append(
            ClassCount(
                label=label,
                photos=train + validation + test,
                train=train,
                validation=validation,
                test=test,
            )
        )
    return tuple(found)


def _skew(classes: Sequence[ClassCount]) -> Skew | None:
    # A class with nothing to learn from is no small one: it is reported as tiny.
    learned = [one for one in classes if one.train]
    if not learned:
        return None
    largest = max(learned, key=lambda one: one.train)
    smallest = min(learned, key=lambda one: one.train)
    if largest.train <= SKEW * smallest.train:
        return None
    ratio = largest.train / smallest.train
    return Skew(largest=largest.label, smallest=smallest.label, ratio=round(ratio, 1))


def _sizes(seen: Sequence[_Seen]) -> tuple[Size, ...]:
    if not seen:
        return ()
    usual = statistics.median(width * height for width, height in (one.size for one in seen))
    found = []
    for one in sorted(seen, key=lambda one: one.photo.path):
        width, height = one.size
        if min(one.size) < SMALL:
            reason = f"a side of less than {SMALL} pixels"
        elif max(one.size) > LONG * min(one.size):
            reason = f"one side more than {LONG} times the other"
        elif width * height * _SMALLER**2 < usual:
            reason = "far smaller than the others"
        else:
            continue
        found.append(Size(path=str(one.photo.path), width=width, height=height, reason=reason))
    return tuple(found)


def paths_under(findings: Findings) -> Callable[[str], str]:
    """A short form of the findings' paths: from the data set's own folder."""
    source = Path(findings.source)
    folder = source if source.is_dir() else source.parent

    def short(path: str) -> str:
        return str(Path(path).relative_to(folder)) if Path(path).is_relative_to(folder) else path

    return short
