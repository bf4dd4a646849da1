"""A server under more and more clients, until more of them get nothing more."""

import time
from collections.abc import Callable
from dataclasses import replace

from viewfinder.capacity.load import Load
from viewfinder.capacity.measured import Step, growing
from viewfinder.capacity.progress import Tell
from viewfinder.capacity.usage import Usage, busiest_loop

_WARM_UP = 0.3  # of a step's time


async def climb(
    load: Load,
    *,
    most: int,
    seconds: float,
    tell: Tell,
    title: str,
    look: Callable[[], Usage] | None = None,
) -> tuple[Step, ...]:
    """Ask with 1, 2, 4, 8 clients and so on.

    Args:
        load: The server, and the photos.
        most: Clients to end with, if not before.
        seconds: How long each number of clients asks.
        tell: Hears how it goes.
        title: What it is called there.
        look: Says what the server has taken so far; None where it is elsewhere.
    """
    numbers = [2**power for power in range(max(1, most).bit_length())]
    tell(title, 0, len(numbers))
    await load.run(2, _WARM_UP * seconds)
    steps: list[Step] = []
    for clients in numbers:
        if not growing(steps):
            break
        steps.append(await measured_step(load, clients, seconds, look))
        tell(title, len(steps), len(numbers))
    if len(steps) < len(numbers):
        tell(title, len(numbers), len(numbers))
    return tuple(steps)


async def measured_step(
    load: Load, clients: int, seconds: float, look: Callable[[], Usage] | None
) -> Step:
    """One number of clients, with what the server took meanwhile."""
    if look is None:
        return await load.run(clients, seconds)
    before, began = look(), time.perf_counter()
    step = await load.run(clients, seconds)
    after, took = look(), time.perf_counter() - began
    return replace(
        step,
        server_cores=(after.cpu_s - before.cpu_s) / took,
        loop_share=busiest_loop(before, after) / took,
    )
