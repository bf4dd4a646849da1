"""Whether one model is better than another on the same photos, or was only lucky."""

from dataclasses import dataclass

import numpy as np

from viewfinder.evaluation import intervals
from viewfinder.evaluation.metrics import Bools

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Compared:
    """Two models on the same photos.

    Attributes:
        photos: How many.
        only_first: Photos that only the first has right.
        only_second: Photos that only the second has right.
        difference: The second's accuracy less the first's, -1 to 1.
        low: The least it may be (95%).
        high: The most.
        p_value: How often chance alone gives a difference as large, by McNemar's exact test.
    """

    photos: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float


def compare(first: Bools, second: Bools, *, seed: int) -> Compared:
    """Compare two models by what each has right.

    Args:
        first: `[N]`, whether the first is right.
        second: `[N]`, the same of the second, for the same photos.
        seed: Of the resampling.
    """
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    photos = len(first)
    low, high = intervals.of_difference(only_first, only_second, photos, seed=seed)
    return Compared(
        photos=photos,
        only_first=only_first,
        only_second=only_second,
        difference=(only_second - only_first) / photos,
        low=low,
        high=high,
        p_value=mcnemar(only_first, only_second),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """The p-value of McNemar's exact test, two-sided.

    If both were as good, each photo that only one has right would be the one's or the other's like
    a coin's side.

    Args:
        only_first: Photos that only the first has right.
        only_second: Photos that only the second has right.
    """
    tosses, fewer = only_first + only_second, min(only_first, only_second)
    if tosses == 0:
        return 1.0
    # In logarithms, as 2 to the power of some thousand photos is no float.
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, tosses + 1)))])
    heads = np.arange(fewer + 1)
    likely = np.exp(
        factorials[tosses] - factorials[heads] - factorials[tosses - heads] - tosses * np.log(2)
    )
    return float(min(1.0, 2 * likely.sum()))
