"""Which photos to learn from, which to choose by, and which to measure with."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from viewfinder.datasets.photos import Photo, Split

_SHARE: Final = 0.1
"""Of each class that goes to validation, and as much again to test."""
_SHARE_OF_TRAIN: Final = 0.12
"""Of each class in `train` that goes to validation, where a test is given and no validation."""

_Group = tuple[int, ...]


def assign_splits(
    photos: Sequence[Photo], groups: Sequence[int], *, seed: int
) -> tuple[Photo, ...]:
    """Give each photo its split, as the data set says it or else about 80 : 10 : 10.

    A group, of photos that are the same or look it, stays together: a model is never measured by
    what it has learned. Each class is divided in these proportions; with three groups or more it
    is in every split, with two in train and validation. A group with several labels is in train:
    whichever is right, it would measure nothing.

    What a data set says is kept. If it has a test and no validation, validation is taken from
    train; if it has a validation and no test, there is no test; if it has train alone, that is as
    if it said nothing.

    Args:
        photos: In an order that does not depend on the files' names, as `open_pixels` gives them:
            the same photos in the same order with the same seed get the same splits.
        groups: The number of each photo's group.
        seed: Another one, another split.

    Returns:
        The photos in the same order, each with its split.
    """
    given = {photo.split for photo in photos} - {None}
    if "validation" in given:
        return tuple(photos)
    shares: dict[Split, float]
    if "test" in given:
        open_to, shares = "train", {"validation": _SHARE_OF_TRAIN}
    else:
        open_to, shares = None, {"validation": _SHARE, "test": _SHARE}
    places = [i for i, photo in enumerate(photos) if open_to is None or photo.split == open_to]
    taken = _divide(photos, groups, places, shares, np.random.default_rng(seed))
    among = set(places)
    return tuple(
        replace(photo, split=taken.get(i, "train")) if i in among else photo
        for i, photo in enumerate(photos)
    )


def _divide(
    photos: Sequence[Photo],
    groups: Sequence[int],
    places: Sequence[int],
    shares: Mapping[Split, float],
    random: np.random.Generator,
) -> dict[int, Split]:
    """The places of photos that do not stay in train, and where they go."""
    members: dict[int, list[int]] = defaultdict(list)
    for place in places:
        members[groups[place]].append(place)
    pure: dict[str, list[_Group]] = defaultdict(list)
    photos_of: dict[str, int] = defaultdict(int)
    learned = set()  # classes that are in train anyhow
    for together in members.values():
        labels = {photos[place].label for place in together}
        for place in together:
            photos_of[photos[place].label] += 1
        if len(labels) == 1:
            pure[labels.pop()].append(tuple(together))
        else:
            learned |= labels
    taken: dict[int, Split] = {}
    for label in sorted(pure):
        left = [pure[label][i] for i in random.permutation(len(pure[label]))]
        for number, (split, share) in enumerate(shares.items(), 1):
            kept_back = (label not in learned) + len(shares) - number  # for train and those to come
            if number < len(shares) and len(left) == kept_back:
                kept_back -= 1  # rather a model chosen by a photo of the class than measured by it
            picked = set(_pick(left, round(share * photos_of[label]), len(left) - kept_back))
            left = [together for together in left if together not in picked]
            taken |= {place: split for together in picked for place in together}
    return taken


def _pick(left: Sequence[_Group], photos: int, most: int) -> list[_Group]:
    """At most so many groups, of so many photos together; but one at least, the smallest."""
    if most < 1:
        return []
    picked: list[_Group] = []
    room = photos
    for together in left:
        if len(together) <= room and len(picked) < most:
            picked.append(together)
            room -= len(together)
    return picked or [min(left, key=len)]
