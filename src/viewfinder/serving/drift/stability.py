"""The population stability index (PSI): how far what comes now is from what came before.

With `e` the share of a bin in the reference and `a` its share now, it is the sum of
`(a - e) ln(a / e)` over all bins. By an old rule of thumb under 0.1 is stable, and over 0.25 is a
change that something must be done about (Siddiqi, Credit Risk Scorecards, 2006).

Photos of the very same kind give more than 0 by chance: with B bins, N photos now and M in the
reference about `(1/N + 1/M)` times a chi-squared variable of B - 1 degrees of freedom (Yurdakul and
Naranjo, Statistical properties of the population stability index, Journal of Risk Model Validation
14(4), 2020). Its mean is taken off; bins are made wider until the rest of chance is small.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from viewfinder.registry.reference import MOST_BINS

Level = Literal["stable", "moderate", "significant"]

MODERATE = 0.1
SIGNIFICANT = 0.25

_LEAST_BINS = 3
# The standard deviation that chance may give: three of them stay under the first level.
_NOISE = 0.025
# Added to the count of each bin (Krichevsky and Trofimov, 1981): an empty one has no logarithm.
_SMOOTHING = 0.5


def stability_index(reference: Sequence[float], recent: Sequence[float]) -> float:
    """The PSI less what chance gives on average, never under 0.

    Args:
        reference: How many photos were in each bin.
        recent: How many are now, in the same bins. Neither may be all zeros.
    """
    bins = len(reference)
    before, now = sum(reference), sum(recent)
    total = 0.0
    for expected, actual in zip(reference, recent, strict=True):
        e = (expected + _SMOOTHING) / (before + _SMOOTHING * bins)
        a = (actual + _SMOOTHING) / (now + _SMOOTHING * bins)
        total += (a - e) * math.log(a / e)
    return max(0.0, total - (bins - 1) * (1 / before + 1 / now))


def level_of(index: float) -> Level:
    """What people call a PSI."""
    if index < MODERATE:
        return "stable"
    return "moderate" if index <= SIGNIFICANT else "significant"


def bins_for(reference: int, recent: int) -> int:
    """As many bins as chance leaves quiet, 3 to 10.

    Args:
        reference: Photos before.
        recent: Photos now.
    """
    scale = 1 / reference + 1 / recent
    quiet = 1 + int((_NOISE / scale) ** 2 / 2)
    return max(_LEAST_BINS, min(MOST_BINS, quiet))


def join_neighbours(counts: Sequence[float], most: int) -> list[int]:
    """Join neighbouring bins into fewer that hold about equally many.

    Args:
        counts: Of each bin.
        most: How many there may be after.

    Returns:
        For each bin the number of the joined one, rising from 0.
    """
    if len(counts) <= most:
        return list(range(len(counts)))
    total, below = sum(counts) or 1, 0.0
    places = []
    for count in counts:
        places.append(min(most - 1, int((below + count / 2) / total * most)))
        below += count
    numbers = {place: number for number, place in enumerate(sorted(set(places)))}
    return [numbers[place] for place in places]


def join_classes(counts: Mapping[int, float], classes: int, most: int) -> list[list[int]]:
    """Put classes into bins: frequent ones have one of their own.

    The rest is divided in the order of the model's output into bins that hold about equally many,
    so that a thousand classes of which each is rare are told apart as well as ten.

    Args:
        counts: Of the reference, by class; what is not there was never seen.
        classes: How many the model has.
        most: How many bins there may be.

    Returns:
        The classes of each bin, every class in one of them.
    """
    if classes <= most:
        return [[index] for index in range(classes)]
    fair = sum(counts.values()) / most
    frequent = sorted((i for i in counts if counts[i] >= fair), key=lambda i: (-counts[i], i))
    alone = sorted(frequent[: most - 1])
    others = sorted(set(range(classes)) - set(alone))
    places = join_neighbours([counts.get(index, 0) for index in others], most - len(alone))
    joined: list[list[int]] = [[] for _ in range(max(places) + 1)]
    for index, place in zip(others, places, strict=True):
        joined[place].append(index)
    return [[index] for index in alone] + joined
