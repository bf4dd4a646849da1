"""A shadow sees the photos that a model answers; its answers are compared, never returned."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

from viewfinder.errors import DeadlineExceededError, OverloadedError, ViewfinderError
from viewfinder.serving.manager import ModelManager
from viewfinder.serving.queue.devices import Devices
from viewfinder.types import Prediction

logger = logging.getLogger(__name__)

_PATIENCE_S = 30.0
_AT_ONCE = 16


@dataclass(slots=True)
class Comparison:
    """Counts since the process began to compare; no photo and no answer is kept.

    Attributes:
        version: The shadow.
        compared: Photos that both answered.
        agreed: Of these, how often with the same class.
        difference: The sum of how far their confidence in the answered class was apart, 0-1 each.
        failed: Photos that the shadow could not answer.
        skipped: Photos that it was not given, because the machine was busy with what people wait
            for.
    """

    version: int
    compared: int = 0
    agreed: int = 0
    difference: float = 0.0
    failed: int = 0
    skipped: int = 0

    @property
    def outcomes(self) -> dict[str, int]:
        """The same, by what came of each photo."""
        return {
            "agreed": self.agreed,
            "disagreed": self.compared - self.agreed,
            "failed": self.failed,
            "skipped": self.skipped,
        }


class Shadows:
    """Shows photos to the shadows, on the batch lane, after the answer is out.

    Args:
        models: Say which version is a shadow.
        devices: Say when there is idle capacity.
    """

    def __init__(self, models: ModelManager, devices: Devices) -> None:
        self._models = models
        self._devices = devices
        self._comparisons: dict[str, Comparison] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def comparison(self, name: str) -> Comparison | None:
        """How a model's present shadow has done, if it has one."""
        version = self._models.shadow_of(name)
        return self._comparison(name, version) if version is not None else None

    @property
    def comparisons(self) -> Mapping[str, Comparison]:
        """How each model's present shadow, or last one, has done."""
        return self._comparisons

    def show(self, text: str | None, data: bytes, answer: Prediction) -> None:
        """Show a photo to the shadow of the model that was asked for, if there is one.

        Args:
            text: What the request asked for.
            data: The photo.
            answer: What was answered.
        """
        version = self._models.shadow_of(text)
        if version is None or version == answer.model.version:
            return
        comparison = self._comparison(answer.model.name, version)
        if len(self._tasks) >= _AT_ONCE:
            comparison.skipped += 1
            return
        task = asyncio.create_task(self._compare(comparison, data, answer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until everything that was shown has been compared."""
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Compare no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _comparison(self, name: str, version: int) -> Comparison:
        known = self._comparisons.get(name)
        if known is None or known.version != version:
            known = self._comparisons[name] = Comparison(version)
        return known

    async def _compare(self, comparison: Comparison, data: bytes, answer: Prediction) -> None:
        try:
            slot = await self._models.get_shadow(answer.model.name, comparison.version)
            with slot.open():
                computed = await slot.computation.run(
                    data, self._devices, time.monotonic() + _PATIENCE_S, "batch"
                )
        except (OverloadedError, DeadlineExceededError):
            comparison.skipped += 1
            return
        except ViewfinderError:
            comparison.failed += 1
            return
        except Exception:
            logger.exception("the shadow of %s failed", answer.model.name)
            comparison.failed += 1
            return
        scores, labels = computed.scores, slot.bundle.manifest.labels
        confidence = {
            labels[index].name: float(scores.confidence[place])
            for place, index in enumerate(scores.indices.tolist())
        }
        comparison.compared += 1
        comparison.agreed += labels[int(scores.indices[0])].name == answer.top.label
        comparison.difference += abs(confidence.get(answer.top.label, 0.0) - answer.top.confidence)
