"""Where a model saw a class: by its feature map if the graph gives one, else by occlusion."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.engines.loader import LoadedVariant
from viewfinder.imaging.geometry import seen_box
from viewfinder.imaging.preprocess import Prepared, prepare
from viewfinder.serving.heatmaps.activation import class_activation
from viewfinder.serving.heatmaps.occlusion import (
    Covered,
    grid,
    log_odds,
    losses,
    normalised,
    occlusions,
)
from viewfinder.serving.queue.devices import Devices
from viewfinder.serving.queue.lanes import Lane, Stage
from viewfinder.serving.queue.scheduler import Scheduler
from viewfinder.settings import Limits
from viewfinder.types import Explanation, Method

# Of the queue of a device, so that a small one has room for others.
_MOST_OF_QUEUE = 1 / 4


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    covered: Covered
    index: int


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    pixels: NDArray[np.uint8]
    index: int


class Explainer:
    """The way of a heat map through one loaded model.

    A feature map takes one question to the graph. With occlusion, each covered picture is an item
    of its own in the device's `batch` lane, so that other requests go before it, and a device that
    likes batches gets them.

    Args:
        loaded: The model.
        limits: What will be decoded.
    """

    def __init__(self, loaded: LoadedVariant, limits: Limits) -> None:
        self._loaded = loaded
        self._limits = limits
        traits = loaded.engine.traits
        self._device = traits.device
        self._decode: Stage[bytes, Prepared] = Stage(self._decoded)
        largest = traits.max_useful_batch
        self._infer: Stage[_Question, float] = Stage(self._asked, largest=largest)
        self._look: Stage[_Seen, NDArray[np.float32]] = Stage(self._activations, largest=largest)

    @property
    def takes_long(self) -> bool:
        """Whether it asks the graph many questions: it is to wait for a turn."""
        return self._loaded.head is None

    async def run(
        self, data: bytes, index: int, devices: Devices, deadline: float, lane: Lane
    ) -> Explanation:
        """Work out where the model saw a class.

        Args:
            data: The bytes of an image file.
            index: The class's place in the model's output.
            devices: Say when a thread is free.
            deadline: On the clock of `time.monotonic`, when the last of the work must have begun.
            lane: Of the one question to a feature map.

        Raises:
            RequestError: The photo is at fault.
            ServiceError: There is no time for it.
        """
        # Its deadline is older than that of all who come meanwhile: in their lane, its many
        # questions would each go before them.
        lane = "batch" if self.takes_long else lane
        prepared = await devices.cpu.submit(self._decode, data, deadline=deadline, lane=lane)
        device = devices.of(self._device)
        if not self.takes_long:
            seen = _Seen(prepared.pixels, index)
            activation = await device.submit(self._look, seen, deadline=deadline, lane=lane)
            return self._explanation("class-activation", prepared, index, activation)
        odds = await _side_by_side(
            partial(device.submit, self._infer, deadline=deadline, lane=lane),
            _questions(prepared, index),
            at_once=self._at_once(device),
        )
        lost = losses(np.array(odds), grid(prepared.pixels))
        return self._explanation("occlusion", prepared, index, lost)

    def explain(self, photo: bytes | Image.Image, index: int) -> Explanation:
        """Work it out on this very thread.

        Args:
            photo: The bytes of an image file, or an image that somebody has decoded.
            index: The class's place in the model's output.

        Raises:
            RequestError: The photo is at fault.
        """
        prepared = prepare(photo, self._loaded.variant.preprocess, self._limits)
        if not self.takes_long:
            (activation,) = self._activations([_Seen(prepared.pixels, index)])
            return self._explanation("class-activation", prepared, index, activation)
        odds = [self._asked([question])[0] for question in _questions(prepared, index)]
        lost = losses(np.array(odds), grid(prepared.pixels))
        return self._explanation("occlusion", prepared, index, lost)

    def _at_once(self, device: Scheduler) -> int:
        """What keeps every thread busy: more would only fill the queue."""
        busy = device.threads * self._infer.largest
        return max(1, min(busy, int(device.capacity * _MOST_OF_QUEUE)))

    def _decoded(self, photos: Sequence[bytes]) -> list[Prepared]:
        return [prepare(photos[0], self._loaded.variant.preprocess, self._limits)]

    def _asked(self, questions: Sequence[_Question]) -> list[float]:
        pictures = np.stack([question.covered.picture() for question in questions])
        scores = self._loaded.engine.predict(pictures)
        return [
            float(log_odds(scores[place : place + 1], question.index, self._loaded.variant)[0])
            for place, question in enumerate(questions)
        ]

    def _activations(self, seen: Sequence[_Seen]) -> list[NDArray[np.float32]]:
        head = self._loaded.head
        if head is None:
            raise RuntimeError("the graph gives no feature map")
        maps = self._loaded.features(np.stack([one.pixels for one in seen]))
        return [
            class_activation(features, head, one.index)
            for features, one in zip(maps, seen, strict=True)
        ]

    def _explanation(
        self, method: Method, prepared: Prepared, index: int, evidence: NDArray[np.floating]
    ) -> Explanation:
        return Explanation(
            method,
            self._loaded.bundle.manifest.labels[index].name,
            index,
            _rows(normalised(evidence)),
            seen_box(prepared.upright, self._loaded.variant.preprocess),
        )


def _questions(prepared: Prepared, index: int) -> list[_Question]:
    return [_Question(covered, index) for covered in occlusions(prepared.pixels)]


async def _side_by_side(
    ask: Callable[[_Question], Awaitable[float]], questions: Sequence[_Question], *, at_once: int
) -> list[float]:
    """All answers; the first failure, and being cancelled, calls the rest off."""
    answers = [0.0] * len(questions)
    left = iter(enumerate(questions))

    async def work() -> None:
        for place, question in left:
            answers[place] = await ask(question)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(work())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return answers


def _rows(heat: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(row) for row in heat.tolist())
