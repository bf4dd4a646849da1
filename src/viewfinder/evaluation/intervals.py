"""How far chance may have moved a number: intervals that hold the truth 95 times in 100."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from viewfinder.evaluation.metrics import Ints

RESAMPLES = 1000
_Z = 1.959963984540054  # of the normal distribution, for 95%
_NUMBERS_AT_ONCE = 4_000_000

Interval = tuple[float, float]


def of_share(part: int, whole: int) -> Interval:
    """The interval of a share, by Wilson's score (1927).

    Unlike resampling, it says something for few photos too, and where all of them are right: 20 of
    20 is 84-100%, not 100-100%.

    Args:
        part: How many.
        whole: Of how many, at least one.
    """
    share, z2 = part / whole, _Z**2 / whole
    middle = (share + z2 / 2) / (1 + z2)
    reach = _Z * np.sqrt(share * (1 - share) / whole + z2 / (4 * whole)) / (1 + z2)
    # Where all or none are right, the end is exact but for rounding.
    low = 0.0 if part == 0 else max(0.0, float(middle - reach))
    high = 1.0 if part == whole else min(1.0, float(middle + reach))
    return low, high


def of_mean(values: NDArray[np.float64], *, seed: int, resamples: int = RESAMPLES) -> Interval:
    """The interval of a mean, by resampling the photos (bootstrap percentiles).

    Args:
        values: `[N]`, one for each photo.
        seed: Of the resampling.
        resamples: How many.
    """
    random, photos = np.random.default_rng(seed), len(values)
    means = [
        values[random.integers(0, photos, (some, photos))].mean(axis=1)
        for some in _blocks(resamples, photos)
    ]
    return _percentiles(np.concatenate(means))


def of_macro_f1(confusion: Ints, *, seed: int, resamples: int = RESAMPLES) -> Interval:
    """The interval of the macro F1, by resampling the photos (bootstrap percentiles).

    To draw photos anew is to draw the cells of the confusion matrix that hold any, so it takes no
    longer for more photos of the same classes. A class that a resample happens to miss does not
    count in it.

    Args:
        confusion: int64 `[C, C]`.
        seed: Of the resampling.
        resamples: How many.
    """
    random = np.random.default_rng(seed)
    rows, columns = np.nonzero(confusion)
    counts = confusion[rows, columns]
    photos = int(counts.sum())
    by_column = np.argsort(columns, kind="stable")
    right = rows == columns
    classes = len(confusion)
    scores = []
    for some in _blocks(resamples, len(counts)):
        drawn = random.multinomial(photos, counts / photos, size=some)
        support = _sums(drawn, rows, classes)
        answered = _sums(drawn[:, by_column], columns[by_column], classes)
        hits = np.zeros((some, classes), np.int64)
        hits[:, rows[right]] = drawn[:, right]
        f1 = 2 * hits / np.maximum(support + answered, 1)
        scores.append(f1.sum(axis=1, where=support > 0) / (support > 0).sum(axis=1))
    return _percentiles(np.concatenate(scores))


def of_difference(
    only_first: int, only_second: int, photos: int, *, seed: int, resamples: int = RESAMPLES
) -> Interval:
    """The interval of the second's accuracy less the first's on the same photos, -1 to 1.

    Photos are resampled in pairs (bootstrap percentiles); only those count that one of both has
    right.

    Args:
        only_first: Photos that only the first has right.
        only_second: Photos that only the second has right.
        photos: All photos, at least one.
        seed: Of the resampling.
        resamples: How many.
    """
    kinds = np.array([only_first, only_second, photos - only_first - only_second]) / photos
    drawn = np.random.default_rng(seed).multinomial(photos, kinds, size=resamples)
    return _percentiles((drawn[:, 1] - drawn[:, 0]) / photos)


def _blocks(resamples: int, length: int) -> Iterator[int]:
    """The resamples in parts that fit into some ten megabytes."""
    most = max(1, _NUMBERS_AT_ONCE // length)
    for start in range(0, resamples, most):
        yield min(most, resamples - start)


def _sums(drawn: Ints, groups: Ints, classes: int) -> Ints:
    """The sums of the columns of `drawn` by their group; `groups` ascends."""
    sums = np.zeros((len(drawn), classes), np.int64)
    present, starts = np.unique(groups, return_index=True)
    sums[:, present] = np.add.reduceat(drawn, starts, axis=1)
    return sums


def _percentiles(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, (2.5, 97.5))
    return float(low), float(high)
