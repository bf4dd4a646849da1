"""The whole path of one photo, on one page."""

import asyncio
import time
from functools import partial

import uuid_utils

from viewfinder.errors import MalformedRequestError, PayloadTooLargeError
from viewfinder.serving.cache import CachedComputation, digest_of, key_of, open_cache
from viewfinder.serving.callbacks import Callbacks, CompletedPrediction
from viewfinder.serving.compute import Computed, Scores
from viewfinder.serving.manager import ModelManager, Slot
from viewfinder.serving.scheduler import Devices, Lane
from viewfinder.serving.shadow import Shadows
from viewfinder.settings import Settings
from viewfinder.types import ClassScore, Prediction, ServedModel, Timing


class ClassifyService:
    """Answers photos with the models of a manager, on the threads of the devices.

    Args:
        models: Says which model a request means.
        devices: Say when a thread is free.
        settings: What a photo may be, and what is remembered.
        callbacks: Hear of every prediction.

    Raises:
        MissingExtraError: Something is asked for that is not installed.
    """

    def __init__(
        self, models: ModelManager, devices: Devices, settings: Settings, callbacks: Callbacks
    ) -> None:
        self._models = models
        self._devices = devices
        self._limits = settings.limits
        self._callbacks = callbacks
        cache = open_cache(settings.cache)
        self._cached = CachedComputation(cache) if cache is not None else None
        self.shadows = Shadows(models, devices)

    async def classify(
        self,
        data: bytes,
        *,
        deadline: float,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
        caller: str | None = None,
        lane: Lane = "interactive",
    ) -> Prediction:
        """Classify one photo.

        Args:
            data: The bytes of an image file.
            deadline: On the clock of `time.monotonic`, when a thread must have taken it up.
            model: `name`, `name@3`, `name@alias`; None for the default.
            top_k: How many classes to name, 1-100, at most as many as the model has.
            min_confidence: Classes under it are left out of `classes`, 0-1.
            caller: Who asks, if that is known: gets the same share of a traffic split each time.
            lane: Whether somebody waits for this very answer.

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
        slot = await self._models.get(model, caller, deadline=deadline)
        with slot.open():
            compute = partial(slot.computation.run, data, self._devices, deadline, lane)
            digest = None
            if self._cached is None:
                found: Scores | Computed = await compute()
            else:
                digest = await digest_of(data)
                key, classes = key_of(digest, slot.loaded), slot.loaded.engine.classes
                found = await self._cached.run(key, classes, deadline, compute)
            prediction = _prediction(found, slot, began, top_k, min_confidence)
        if isinstance(found, Computed):
            self.shadows.show(model, data, prediction)
        if self._callbacks:
            self._callbacks.tell(CompletedPrediction(prediction, len(data), digest))
        return prediction

    async def close(self) -> None:
        """Let go of what is remembered elsewhere, and of those who listen."""
        await self.shadows.close()
        await asyncio.to_thread(self._callbacks.close)
        if self._cached is not None:
            await self._cached.close()


def _prediction(
    found: Scores | Computed, slot: Slot, began: float, top_k: int, min_confidence: float
) -> Prediction:
    manifest, variant = slot.bundle.manifest, slot.loaded.variant
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


def _timing(found: Scores | Computed, began: float, now: float) -> Timing:
    total = (now - began) * 1000
    if not isinstance(found, Computed):
        return Timing(decode=0.0, queue=total, infer=0.0, total=total)  # waited for another's work
    decode, infer = found.decode * 1000, found.infer * 1000
    return Timing(decode=decode, queue=(found.began - began) * 1000, infer=infer, total=total)
