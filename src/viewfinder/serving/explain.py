"""Where a model saw a class: as many questions to its graph as a heat map takes."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewfinder.engines.loader import LoadedVariant
from viewfinder.errors import DeadlineExceededError, OverloadedError
from viewfinder.imaging.geometry import seen_box
from viewfinder.imaging.preprocess import Prepared, prepare
from viewfinder.serving.occlusion import Covered, grid, log_odds, losses, normalised, occlusions
from viewfinder.serving.scheduler import Devices, Lane, Stage
from viewfinder.settings import Limits
from viewfinder.telemetry.tracing import span
from viewfinder.types import Explanation

_LEARNING = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    covered: Covered
    index: int


class Explainer:
    """The way of a heat map through one loaded model.

    Each covered picture is an item of its own in the device's queue, so that other requests are
    answered in between, and a device that likes batches gets them.

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
        self._infer: Stage[_Question, float] = Stage(self._asked, largest=traits.max_useful_batch)

    async def run(
        self, data: bytes, index: int, devices: Devices, deadline: float, lane: Lane
    ) -> Explanation:
        """Work out where the model saw a class.

        Args:
            data: The bytes of an image file.
            index: The class's place in the model's output.
            devices: Say when a thread is free.
            deadline: On the clock of `time.monotonic`, when the last of the work must have begun.
            lane: Whether somebody waits for it.

        Raises:
            RequestError: The photo is at fault.
            ServiceError: There is no time for it.
        """
        prepared = await devices.cpu.submit(self._decode, data, deadline=deadline, lane=lane)
        device = devices.of(self._device)
        odds = await _side_by_side(
            partial(device.submit, self._infer, deadline=deadline, lane=lane),
            _questions(prepared, index),
            # What keeps every thread busy: more would only stand before others in the queue.
            at_once=device.threads * self._infer.largest,
        )
        return self._explanation(prepared, index, odds)

    def explain(self, photo: bytes | Image.Image, index: int) -> Explanation:
        """Work it out on this very thread.

        Args:
            photo: The bytes of an image file, or an image that somebody has decoded.
            index: The class's place in the model's output.

        Raises:
            RequestError: The photo is at fault.
        """
        prepared = prepare(photo, self._loaded.variant.preprocess, self._limits)
        odds = [self._asked([question])[0] for question in _questions(prepared, index)]
        return self._explanation(prepared, index, odds)

    def _decoded(self, photos: Sequence[bytes]) -> list[Prepared]:
        return [prepare(photos[0], self._loaded.variant.preprocess, self._limits)]

    def _asked(self, questions: Sequence[_Question]) -> list[float]:
        pictures = np.stack([question.covered.picture() for question in questions])
        scores = self._loaded.engine.predict(pictures)
        return [
            float(log_odds(scores[place : place + 1], question.index, self._loaded.variant)[0])
            for place, question in enumerate(questions)
        ]

    def _explanation(self, prepared: Prepared, index: int, odds: Sequence[float]) -> Explanation:
        lost = losses(np.array(odds), grid(prepared.pixels))
        return Explanation(
            "occlusion",
            self._loaded.bundle.manifest.labels[index].name,
            index,
            _rows(normalised(lost)),
            seen_box(prepared.upright, self._loaded.variant.preprocess),
        )


class Turns:
    """One heat map at a time in a process: it keeps all threads busy, two would end no sooner.

    Attributes:
        seconds: What one takes, as a moving average; 0 until there was one.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._here = 0
        self._turn = asyncio.Lock()

    async def run(self, work: Callable[[], Awaitable[Explanation]], deadline: float) -> Explanation:
        """Wait for a turn, and use it.

        Args:
            work: Makes the heat map.
            deadline: On the clock of `time.monotonic`, when the turn must have come.

        Raises:
            OverloadedError: So many wait that it would come too late.
            DeadlineExceededError: It has not come all the same.
            Exception: Whatever `work` raised.
        """
        late = time.monotonic() + self._here * self.seconds - deadline
        if self._here and late > 0:
            raise OverloadedError(
                "More heat maps are waiting than the server can make in time; try again later, or "
                "ask without one.",
                retry_after_s=max(1, math.ceil(late)),
            )
        self._here += 1
        try:
            with span("explain"):
                await self._wait(deadline)
                try:
                    return await self._timed(work)
                finally:
                    self._turn.release()
        finally:
            self._here -= 1

    async def _timed(self, work: Callable[[], Awaitable[Explanation]]) -> Explanation:
        began = time.monotonic()
        explanation = await work()
        seconds = time.monotonic() - began
        self.seconds += (seconds - self.seconds) * (_LEARNING if self.seconds else 1)
        return explanation

    async def _wait(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise DeadlineExceededError(
                "The deadline passed while other heat maps were made."
            ) from error


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
