"""Photos whose label is probably wrong, by confident learning."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


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
