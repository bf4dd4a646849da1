"""What is wrong with a data set, before anything is learned from it."""

import hashlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from viewfinder.datasets.duplicates import fingerprints, group
from viewfinder.datasets.findings import ClassCount, Copy, Corrupt, Findings, Size, Skew
from viewfinder.datasets.photos import SPLITS, Dataset, Photo, Skipped
from viewfinder.datasets.reading import read_photo
from viewfinder.datasets.split import assign_splits
from viewfinder.errors import ViewfinderError
from viewfinder.imaging.decode import upright_size
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits
from viewfinder.shared.side_by_side import side_by_side

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
