"""Scores to the answer that a caller gets, with the names of the classes."""

import time
from dataclasses import replace

import uuid_utils

from viewfinder.engines.loader import LoadedVariant
from viewfinder.serving.compute import Computed, Scores
from viewfinder.types import ClassScore, Explanation, Prediction, ServedModel, Timing


def to_prediction(
    found: Scores | Computed,
    loaded: LoadedVariant,
    began: float,
    top_k: int,
    min_confidence: float,
) -> Prediction:
    """The answer that scores amount to.

    Args:
        found: The scores; `Computed` if they were worked out for this very answer.
        loaded: The model that gave them.
        began: On the clock of `time.monotonic`, when the photo was taken.
        top_k: How many classes to name, at most as many as the model has.
        min_confidence: Classes under it are left out of `classes`, 0-1.
    """
    manifest, variant = loaded.bundle.manifest, loaded.variant
    now = time.monotonic()
    scores = found.scores if isinstance(found, Computed) else found
    best = [
        ClassScore(manifest.labels[index].name, index, confidence)
        for index, confidence in zip(
            scores.indices[:top_k].tolist(), scores.confidence[:top_k].tolist(), strict=True
        )
    ]
    threshold = variant.calibration.abstain_below
    return Prediction(
        id=str(uuid_utils.uuid7()),
        top=best[0],
        classes=tuple(score for score in best if score.confidence >= min_confidence),
        model=ServedModel(manifest.name, manifest.version, variant.name),
        abstained=threshold is not None and best[0].confidence < threshold,
        cached=not isinstance(found, Computed),
        timing=_timing(found, began, now),
    )


def with_explanation(prediction: Prediction, explanation: Explanation, began: float) -> Prediction:
    """The answer with its heat map, whose time `total` includes.

    Args:
        prediction: The answer without.
        explanation: Of its top class.
        began: On the clock of `time.monotonic`, when the photo was taken.
    """
    timing = replace(prediction.timing, total=(time.monotonic() - began) * 1000)
    return replace(prediction, explanation=explanation, timing=timing)


def _timing(found: Scores | Computed, began: float, now: float) -> Timing:
    total = (now - began) * 1000
    if not isinstance(found, Computed):
        return Timing(decode=0.0, queue=total, infer=0.0, total=total)  # waited for another's work
    decode, infer = found.decode * 1000, found.infer * 1000
    return Timing(decode=decode, queue=(found.began - began) * 1000, infer=infer, total=total)
