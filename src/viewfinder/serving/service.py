"""The whole path of one photo, on one page."""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from viewfinder.engines.loader import LoadedVariant
from viewfinder.errors import MalformedRequestError, PayloadTooLargeError
from viewfinder.imaging.preprocess import preprocess
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.scheduler import Scheduler
from viewfinder.settings import Limits
from viewfinder.types import ClassScore, Prediction, ServedModel, Timing


@dataclass(frozen=True, slots=True)
class _Computed:
    """What a compute thread brings back: confidence `[classes]`, and moments on one clock."""

    confidence: NDArray[np.float32]
    began: float
    decoded: float
    inferred: float


class ClassifyService:
    """Answers photos with the models of a manager, on the threads of a scheduler.

    Args:
        models: Says which model a request means.
        scheduler: Says when a compute thread is free.
        limits: What a photo may be.
    """

    def __init__(self, models: ModelManager, scheduler: Scheduler, limits: Limits) -> None:
        self._models = models
        self._scheduler = scheduler
        self._limits = limits

    async def classify(
        self,
        data: bytes,
        *,
        deadline: float,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
    ) -> Prediction:
        """Classify one photo.

        Args:
            data: The bytes of an image file.
            deadline: On the clock of `time.monotonic`, when a compute thread must have taken it up.
            model: `name`, `name@3`, `name@alias`; None for the default.
            top_k: How many classes to name, at most as many as the model has.
            min_confidence: Classes under it are left out of `classes`, 0-1.

        Raises:
            RequestError: The photo or the model's name is at fault.
            ServiceError: The service cannot answer now.
        """
        began = time.monotonic()
        if not data:
            raise MalformedRequestError("The image is empty.")
        if len(data) > self._limits.image_bytes:
            raise PayloadTooLargeError(
                f"The image is over the limit of {self._limits.image_bytes:,} bytes."
            )
        loaded = await self._models.get(model)
        computed = await self._scheduler.run(
            partial(_compute, data, loaded, self._limits), deadline=deadline
        )
        return _prediction(computed, loaded, began, top_k, min_confidence)


def _compute(data: bytes, loaded: LoadedVariant, limits: Limits) -> _Computed:
    """Runs on a compute thread; decoding and inference release the interpreter lock."""
    began = time.monotonic()
    pixels = preprocess(data, loaded.variant.preprocess, limits)
    decoded = time.monotonic()
    confidence = loaded.confidence(pixels)
    return _Computed(confidence, began, decoded, time.monotonic())


def _prediction(
    computed: _Computed,
    loaded: LoadedVariant,
    began: float,
    top_k: int,
    min_confidence: float,
) -> Prediction:
    manifest, variant = loaded.bundle.manifest, loaded.variant
    scores = [
        ClassScore(manifest.labels[index].name, index, confidence)
        for index, confidence in _best(computed.confidence, top_k)
    ]
    threshold = variant.calibration.abstain_below
    return Prediction(
        top=scores[0],
        classes=tuple(score for score in scores if score.confidence >= min_confidence),
        model=ServedModel(manifest.name, manifest.version, variant.name),
        abstained=threshold is not None and scores[0].confidence < threshold,
        timing=Timing(
            decode=(computed.decoded - computed.began) * 1000,
            queue=(computed.began - began) * 1000,
            infer=(computed.inferred - computed.decoded) * 1000,
            total=(time.monotonic() - began) * 1000,
        ),
    )


def _best(confidence: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
    """Index and value of the largest, best first, the lower index first among equals."""
    count = min(count, confidence.size)
    # Sorting all of a thousand classes takes five times as long as picking a few and sorting those.
    least = np.partition(confidence, -count)[-count]
    candidates = np.flatnonzero(confidence >= least)
    order = candidates[np.argsort(-confidence[candidates], kind="stable")][:count]
    return list(zip(order.tolist(), confidence[order].tolist(), strict=True))
