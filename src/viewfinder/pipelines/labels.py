"""Labels that a model does not believe."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from viewfinder.datasets.check import Suspect, wrong_labels
from viewfinder.datasets.photos import Dataset, Photo
from viewfinder.datasets.reading import read_photo, side_by_side
from viewfinder.engines.loader import LoadedVariant
from viewfinder.errors import DatasetError, ViewfinderError
from viewfinder.imaging.preprocess import preprocess
from viewfinder.settings import Limits


def suspect_labels(
    dataset: Dataset,
    loaded: LoadedVariant,
    *,
    limits: Limits,
    threads: int,
    progress: Callable[[int, int], None],
) -> tuple[Suspect, ...]:
    """Photos whose label is probably wrong, the most suspicious first.

    Args:
        dataset: Its classes are all the model's; the model may have more.
        loaded: The model, ready for `threads` calls side by side.
        limits: What will be decoded; other photos are passed over.
        threads: To work with.
        progress: Told from this thread how many photos are done, and of how many.

    Raises:
        DatasetError: The model does not know a class.
    """
    names = [label.name for label in loaded.bundle.manifest.labels]
    unknown = sorted(set(dataset.labels) - set(names))
    if unknown:
        raise DatasetError(
            f"{loaded.bundle.manifest.name}@{loaded.bundle.manifest.version} has no classes "
            f"{', '.join(map(repr, unknown))}; ask a model that was trained with these labels"
        )
    photos, confidence = _confidences(
        dataset.photos, loaded, limits=limits, threads=threads, progress=progress
    )
    targets = [names.index(photo.label) for photo in photos]
    return tuple(
        Suspect(
            path=str(photos[place].path),
            label=photos[place].label,
            suggested=names[believed],
            confidence=float(confidence[place, believed]),
            split=photos[place].split,
        )
        for place, believed in wrong_labels(confidence, targets)
    )


def _confidences(
    photos: Sequence[Photo],
    loaded: LoadedVariant,
    *,
    limits: Limits,
    threads: int,
    progress: Callable[[int, int], None],
) -> tuple[list[Photo], NDArray[np.float32]]:
    """The photos that can be decoded, and float32 `[N, classes]` of calibrated confidence."""

    def ask(photo: Photo) -> NDArray[np.float32] | None:
        try:
            data = read_photo(photo.path, limits.image_bytes)
            return loaded.confidence(preprocess(data, loaded.variant.preprocess, limits))
        except ViewfinderError:
            return None

    asked: list[Photo] = []
    rows: list[NDArray[np.float32]] = []
    answers = side_by_side(ask, photos, threads=threads)
    for done, (photo, row) in enumerate(zip(photos, answers, strict=True), 1):
        if row is not None:
            asked.append(photo)
            rows.append(row)
        progress(done, len(photos))
    return asked, np.array(rows, np.float32).reshape(len(rows), -1)
