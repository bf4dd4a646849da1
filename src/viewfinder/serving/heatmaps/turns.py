"""Whose turn it is to have a heat map that takes long."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from viewfinder.errors import DeadlineExceededError, OverloadedError
from viewfinder.serving.queue.lanes import moving_average
from viewfinder.telemetry.tracing import span

_LEARNING = 0.2


class Turns:
    """One heat map at a time in a process: it keeps all threads busy, two would end no sooner.

    Attributes:
        here: How many have a turn or wait for one.
        seconds: What one takes, as a moving average; 0 until there was one.
    """

    def __init__(self) -> None:
        self.here = 0
        self.seconds = 0.0
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def take(self, deadline: float) -> AsyncGenerator[None]:
        """Wait for a turn, and have it for what is done inside.

        Args:
            deadline: On the clock of `time.monotonic`, when the turn must have come.

        Raises:
            OverloadedError: So many wait that it would come too late.
            DeadlineExceededError: It has not come all the same.
        """
        late = time.monotonic() + self.here * self.seconds - deadline
        if self.here and late > 0:
            raise OverloadedError(
                "More heat maps are waiting than the server can make in time; try again later, or "
                "ask without one.",
                retry_after_s=max(1, math.ceil(late)),
            )
        self.here += 1
        try:
            with span("explain"):
                await self._wait(deadline)
                try:
                    began = time.monotonic()
                    yield
                    took = time.monotonic() - began
                    self.seconds = moving_average(self.seconds, took, _LEARNING)
                finally:
                    self._turn.release()
        finally:
            self.here -= 1

    async def _wait(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise DeadlineExceededError(
                "The deadline passed while other heat maps were made."
            ) from error
