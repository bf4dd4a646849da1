"""How logits become a confidence that can be believed, and when it is too low to answer."""

import math

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.base import to_logits
from viewfinder.evaluation.metrics import Floats, Ints

_LOWEST, _HIGHEST = 0.05, 20.0
_GRID = 13
_STEPS = 20
_GOLDEN = (math.sqrt(5) - 1) / 2
_PRIOR_WIDTH = 0.5
_NUMBERS_AT_ONCE = 1 << 18  # as many as a processor's cache holds

_FEWEST_MISTAKES = 5
_LEAST_COVERAGE = 0.5


def fit_temperature(scores: NDArray[np.float32], targets: Ints, *, output: str) -> float:
    """The temperature under which the right answers are the likeliest (Guo et al., 2017).

    The search is for the logarithm of the temperature, and holds it to be near 0 as long as few
    photos say otherwise (a normal prior of width 0.5: without evidence, 0.37-2.7 at 95 to 5). For
    hundreds of photos it does not matter; five photos move the temperature little, and where every
    answer is right, it does not run off to absolute certainty.

    Args:
        scores: float32 `[N, C]`, as the engine gave them.
        targets: int64 `[N]`, the place of the right class.
        output: `logits` or `probabilities`.

    Returns:
        0.05-20; 1 if there are no photos.
    """
    if len(targets) == 0:
        return 1.0

    def cost(log_t: float) -> float:
        loss = _total_loss(scores, targets, output, math.exp(log_t))
        return loss + log_t**2 / (2 * _PRIOR_WIDTH**2)

    # The sum of both need not have one valley: look everywhere first.
    grid = np.linspace(math.log(_LOWEST), math.log(_HIGHEST), _GRID).tolist()
    best = int(np.argmin([cost(log_t) for log_t in grid]))
    low, high = grid[max(0, best - 1)], grid[min(_GRID - 1, best + 1)]
    inner, outer = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    cost_inner, cost_outer = cost(inner), cost(outer)
    for _ in range(_STEPS):
        if cost_inner <= cost_outer:
            high, outer, cost_outer = outer, inner, cost_inner
            inner = high - _GOLDEN * (high - low)
            cost_inner = cost(inner)
        else:
            low, inner, cost_inner = inner, outer, cost_outer
            outer = low + _GOLDEN * (high - low)
            cost_outer = cost(outer)
    return math.exp((low + high) / 2)


def abstain_threshold(confidence: Floats, targets: Ints) -> float | None:
    """The lowest confidence under which to hold back answers, so that half the rate of wrong goes.

    That is: of the answers at least this sure, the share that is wrong is at most half the share
    of all answers. The threshold lies midway between two confidences that were seen, so that
    another processor's rounding does not move a photo across it.

    Args:
        confidence: `[N, C]`, calibrated, 0-1.
        targets: int64 `[N]`, the place of the right class.

    Returns:
        0-1; None if there are fewer than five mistakes, too few to tell, or if more than half of
        the photos would go without an answer: then confidence says too little of what is right.
    """
    wrong = confidence.argmax(axis=1) != targets
    if wrong.sum() < _FEWEST_MISTAKES:
        return None
    top = confidence.max(axis=1).astype(np.float64)
    order = np.argsort(-top, kind="stable")
    sorted_top = top[order]
    answered = np.arange(1, len(top) + 1)
    good = np.cumsum(wrong[order]) / answered <= wrong.mean() / 2
    # Only between two different confidences can a threshold lie.
    good[:-1] &= sorted_top[:-1] > sorted_top[1:]
    good &= answered >= _LEAST_COVERAGE * len(top)
    places = np.flatnonzero(good)
    if len(places) == 0:
        return None
    last = int(places[-1])  # not the very last photo, as all answers are not half as often wrong
    return float((sorted_top[last] + sorted_top[last + 1]) / 2)


def _total_loss(
    scores: NDArray[np.float32], targets: Ints, output: str, temperature: float
) -> float:
    """The negative log-likelihood of all photos, in nats."""
    total, rows = 0.0, max(1, _NUMBERS_AT_ONCE // scores.shape[1])
    for start in range(0, len(targets), rows):
        part = slice(start, start + rows)
        logits = to_logits(scores[part], output=output) / np.float32(temperature)
        logits -= logits.max(axis=1, keepdims=True)
        sums = np.log(np.exp(logits).sum(axis=1, dtype=np.float64))
        own = logits[np.arange(len(logits)), targets[part]]
        total += float((sums - own).sum())
    return total
