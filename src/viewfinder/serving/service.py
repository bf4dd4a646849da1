"""The whole path of one photo, on one page."""

import asyncio
import time
from contextlib import nullcontext
from functools import partial

from viewfinder.imaging.length import check_length
from viewfinder.serving.answers import to_prediction, with_explanation
from viewfinder.serving.cache.keys import digest_of, key_of
from viewfinder.serving.cache.opening import open_cache
from viewfinder.serving.cache.single_flight import CachedComputation
from viewfinder.serving.callbacks import Callbacks, CompletedPrediction
from viewfinder.serving.compute import Computed, Scores
from viewfinder.serving.drift.monitor import DriftMonitor
from viewfinder.serving.heatmaps.turns import Turns
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.queue.devices import Devices
from viewfinder.serving.queue.lanes import Lane
from viewfinder.serving.recording import Answered, Recorder
from viewfinder.serving.shadow import Shadows
from viewfinder.serving.steps import note_steps
from viewfinder.settings import Settings
from viewfinder.telemetry.metrics import Metrics
from viewfinder.types import Explain, Prediction


class ClassifyService:
    """Answers photos with the models of a manager, on the threads of the devices.

    Args:
        models: Says which model a request means.
        devices: Say when a thread is free.
        settings: What a photo may be, and what is remembered.
        callbacks: Hear of every prediction.
        recorder: Keeps the answers; None where they are not kept.
        metrics: Count and time the answers; None where nobody looks at them.
        drift: Compares photos with those of before; None where nothing is compared.

    Attributes:
        callbacks: As given.
        shadows: Show photos to versions that answer nobody.
        turns: Of those who want a heat map that takes long.
        cache_link: The way to a Redis that holds the cache; None where there is none.

    Raises:
        MissingExtraError: Something is asked for that is not installed.
    """

    def __init__(
        self,
        models: ModelManager,
        devices: Devices,
        settings: Settings,
        callbacks: Callbacks,
        *,
        recorder: Recorder | None = None,
        metrics: Metrics | None = None,
        drift: DriftMonitor | None = None,
    ) -> None:
        self._models = models
        self._devices = devices
        self._limits = settings.limits
        self.callbacks = callbacks
        self._recorder = recorder
        self._metrics = metrics
        self._drift = drift
        cache = open_cache(settings.cache)
        self._cached = CachedComputation(cache) if cache is not None else None
        self.cache_link = cache.link if cache is not None else None
        self.shadows = Shadows(models, devices)
        self.turns = Turns()

    async def classify(
        self,
        data: bytes,
        *,
        deadline: float,
        model: str | None = None,
        top_k: int = 5,
        min_confidence: float = 0.0,
        explain: Explain = "none",
        caller: str | None = None,
        owner: str | None = None,
        job: str | None = None,
        lane: Lane = "interactive",
    ) -> Prediction:
        """Classify one photo.

        Args:
            data: The bytes of an image file.
            deadline: On the clock of `time.monotonic`, when a thread must have taken it up.
            model: `name`, `name@3`, `name@alias`; None for the default.
            top_k: How many classes to name, 1-100, at most as many as the model has.
            min_confidence: Classes under it are left out of `classes`, 0-1.
            explain: Whether to say where the top class was seen. Only who asks is told: for records
                and metrics, and all others, it is an answer like any other.
            caller: Who asks, if that is known: gets the same share of a traffic split each time.
            owner: The id of the key that asks, for the records.
            job: The id of the job that asks, for the records.
            lane: Whether somebody waits for this very answer.

        Raises:
            RequestError: The photo or the model's name is at fault.
            ServiceError: The service cannot answer now.
        """
        began = time.monotonic()
        check_length(data, self._limits.image_bytes)
        slot = await self._models.get(model, caller, deadline=deadline)
        with slot.open():
            compute = partial(slot.computation.run, data, self._devices, deadline, lane)
            explaining = explain == "heatmap"
            takes_turn = explaining and slot.explainer.takes_long
            # Before anything is worked out, so that a refusal costs nothing.
            async with self.turns.take(deadline) if takes_turn else nullcontext():
                # The wait for a turn is no wait for a thread: it is of nobody's figures.
                taken = time.monotonic() if takes_turn else began
                digest = None
                if self._cached is None:
                    found: Scores | Computed = await compute()
                else:
                    digest = await digest_of(data)
                    key, classes = key_of(digest, slot.loaded), slot.loaded.engine.classes
                    found = await self._cached.run(key, classes, deadline, compute)
                prediction = answer = to_prediction(
                    found, slot.loaded, taken, top_k, min_confidence
                )
                if explaining:
                    made = await slot.explainer.run(
                        data, prediction.top.index, self._devices, deadline, lane
                    )
                    answer = with_explanation(prediction, made, began)
        if self._metrics is not None:
            pixels = found.pixels if isinstance(found, Computed) else None
            self._metrics.predicted(
                prediction, len(data), pixels=pixels, cache=self._cached is not None
            )
        if isinstance(found, Computed):
            note_steps(taken, found, prediction.model)
            self.shadows.show(model, data, prediction)
            if self._drift is not None:
                self._drift.observe(slot.loaded, found)
        if self.callbacks:
            self.callbacks.tell(CompletedPrediction(prediction, len(data), digest))
        if self._recorder is not None:
            digest = digest or await digest_of(data)
            self._recorder.record(Answered(prediction, data, digest, owner, job))
        return answer

    async def close(self) -> None:
        """Let go of what is remembered elsewhere, and of those who listen."""
        await self.shadows.close()
        await asyncio.to_thread(self.callbacks.close)
        if self._cached is not None:
            await self._cached.close()
