"""Golden photos: which they are, and what a graph answers for them when it is sealed."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from viewfinder.datasets.photos import Photo
from viewfinder.datasets.reading import read_photo
from viewfinder.errors import RequestError
from viewfinder.imaging.decode import decode
from viewfinder.imaging.thumbnail import small_jpeg
from viewfinder.registry.manifest import ExpectedScore
from viewfinder.settings import Limits

_CLASSES = 5
_GOLDEN_PHOTOS = 3
_GOLDEN_SIDE = 512
_GOLDEN_QUALITY = 90


def expected(confidence: NDArray[np.float32]) -> tuple[ExpectedScore, ...]:
    """The classes with most confidence, best first, of float32 `[C]`."""
    order = np.argsort(-confidence, kind="stable")[:_CLASSES]
    return tuple(
        ExpectedScore(index=int(index), confidence=min(1.0, float(confidence[index])))
        for index in order
    )


def golden_photos(photos: Iterable[Photo], limits: Limits) -> dict[str, bytes]:
    """A few photos that prove a bundle on another machine, by their paths in it.

    They are written anew, small and without what else a photo's file tells: where it was taken,
    when, by whom. One of each of the first classes, so that a graph of noise cannot pass.
    """
    chosen: dict[str, bytes] = {}
    seen: set[str] = set()
    for photo in photos:
        if len(chosen) == _GOLDEN_PHOTOS:
            break
        if photo.label in seen:
            continue
        try:
            image = decode(read_photo(photo.path, limits.image_bytes), limits=limits)
        except RequestError:  # it was there when training began; others will do
            continue
        seen.add(photo.label)
        written, _ = small_jpeg(image, _GOLDEN_SIDE, quality=_GOLDEN_QUALITY)
        chosen[f"golden/{len(chosen) + 1}.jpg"] = written
    return chosen
