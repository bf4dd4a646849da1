"""`Turns`: one heat map at a time, and nobody waits in vain."""

import asyncio
import time

import pytest

from viewfinder.errors import DeadlineExceededError, OverloadedError
from viewfinder.serving.heatmaps.turns import Turns

FAR = time.monotonic() + 3600


async def test_heat_maps_are_made_one_at_a_time_and_in_order() -> None:
    turns = Turns()
    order: list[tuple[str, int]] = []

    async def work(number: int) -> None:
        async with turns.take(FAR):
            order.append(("begins", number))
            await asyncio.sleep(0)
            order.append(("ends", number))

    await asyncio.gather(*(work(n) for n in range(3)))
    assert order == [(what, n) for n in range(3) for what in ("begins", "ends")]


async def test_one_whose_turn_would_come_too_late_is_refused_at_once() -> None:
    turns = Turns()
    turns.seconds = 5.0
    async with turns.take(FAR):
        with pytest.raises(OverloadedError) as refused:
            async with turns.take(time.monotonic() + 1):
                pass
    assert refused.value.retry_after_s in {4, 5}
    async with turns.take(time.monotonic() + 1):
        pass  # alone, it may be as slow as it likes


async def test_one_whose_turn_does_not_come_in_time_expires() -> None:
    turns = Turns()
    async with turns.take(FAR):
        with pytest.raises(DeadlineExceededError):
            async with turns.take(time.monotonic() + 0.05):
                pass
