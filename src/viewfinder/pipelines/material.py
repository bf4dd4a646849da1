"""The photos of a data set made ready: decoded, divided, counted."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewfinder.datasets.duplicates import fingerprints, group
from viewfinder.datasets.photos import SPLITS, Dataset, Photo, Skipped, Split
from viewfinder.datasets.pixels import open_pixels
from viewfinder.datasets.split import assign_splits
from viewfinder.errors import DatasetError
from viewfinder.imaging.geometry import PreprocessSpec
from viewfinder.settings import Limits

_SHOWN = 3
_REPRESENTATIVE = 64


@dataclass(frozen=True, slots=True)
class Material:
    """Photos to learn from and to measure with.

    Attributes:
        labels: Every class, in the order of a model's output.
        photos: Those that could be decoded, each with its split, in the order of their content.
        pixels: Of each photo, uint8 `[N, height, width, 3]`, on disk.
        skipped: Those that could not be decoded.
        digest: SHA-256 of what was learned from and measured with: contents, labels, splits.
        straddling: Validation and test photos that are, or look, the same as one learned from.
        divided: Whether the splits were made here.
    """

    labels: tuple[str, ...]
    photos: tuple[Photo, ...]
    pixels: NDArray[np.uint8]
    skipped: tuple[Skipped, ...]
    digest: str
    straddling: int
    divided: bool

    def rows(self, split: Split) -> NDArray[np.int64]:
        """Where the photos of a split are among all, int64 `[n]`."""
        found = [row for row, photo in enumerate(self.photos) if photo.split == split]
        return np.array(found, np.int64)

    def of(self, split: Split) -> tuple[Photo, ...]:
        """The photos of a split."""
        return tuple(photo for photo in self.photos if photo.split == split)

    @property
    def representative(self) -> NDArray[np.int64]:
        """Places of training photos to calibrate with, spread over all of them, int64 `[n]`."""
        train = len(self.of("train"))
        return np.linspace(0, train - 1, min(train, _REPRESENTATIVE)).astype(np.int64)

    def targets(self, split: Split) -> NDArray[np.int64]:
        """The index of the class of each photo of a split, int64 `[n]`."""
        places = {label: place for place, label in enumerate(self.labels)}
        return np.array([places[photo.label] for photo in self.of(split)], np.int64)

    def facts(self) -> dict[str, Any]:
        """For a bundle's provenance."""
        return {
            "digest": self.digest,
            "classes": len(self.labels),
            **{split: len(self.of(split)) for split in SPLITS},
            "split_by": "viewfinder" if self.divided else "the data set",
            "skipped": len(self.skipped),
            "straddling_duplicates": self.straddling,
        }


def prepare(
    dataset: Dataset,
    spec: PreprocessSpec,
    folder: Path,
    *,
    limits: Limits,
    threads: int,
    seed: int,
    progress: Callable[[int, int], None],
) -> Material:
    """Decode the photos of a data set, and say what each is for.

    Args:
        dataset: The photos.
        spec: How they are decoded.
        folder: Of the caches of decoded photos.
        limits: What will be decoded.
        threads: To work with.
        seed: Of the division.
        progress: Is told how many steps are done, and of how many.

    Raises:
        DatasetError: Nothing can be learned from what is left.
    """
    pixels = open_pixels(
        dataset.photos, spec, folder, limits=limits, threads=threads, progress=progress
    )
    groups = group(pixels.digests, fingerprints(pixels.pixels))
    photos = assign_splits(pixels.photos, groups, seed=seed)
    _check_classes(dataset.labels, photos)
    _check_measured(photos)
    digest = hashlib.sha256()
    for one, photo in zip(pixels.digests, photos, strict=True):
        digest.update(f"{one} {photo.split} {photo.label}\n".encode())
    learned = {g for g, photo in zip(groups, photos, strict=True) if photo.split == "train"}
    return Material(
        labels=dataset.labels,
        photos=photos,
        pixels=pixels.pixels,
        skipped=(*dataset.skipped, *pixels.skipped),
        digest=digest.hexdigest(),
        straddling=sum(
            g in learned for g, photo in zip(groups, photos, strict=True) if photo.split != "train"
        ),
        divided=any(a.split != b.split for a, b in zip(pixels.photos, photos, strict=True)),
    )


def _check_measured(photos: tuple[Photo, ...]) -> None:
    if all(photo.split == "train" for photo in photos):
        raise DatasetError(
            "no photo is left to measure a model with: classes have one photo each, or photos that "
            "look like those of others; `viewfinder data check` lists them"
        )


def _check_classes(labels: tuple[str, ...], photos: tuple[Photo, ...]) -> None:
    learned = {photo.label for photo in photos if photo.split == "train"}
    empty = [label for label in labels if label not in learned]
    if empty:
        named = ", ".join(map(repr, empty[:_SHOWN]))
        raise DatasetError(
            f"there is no photo to learn {named} from that can be read; "
            "`viewfinder data check` says what is wrong with the others"
        )
