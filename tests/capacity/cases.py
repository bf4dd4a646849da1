"""Measurements as they could be, without a machine."""

from dataclasses import replace
from typing import Any

from viewfinder.capacity.measured import (
    Compute,
    Measured,
    Pictures,
    Process,
    Served,
    Step,
    Work,
)

PICTURES = Pictures("photos", 3, 0, (20_000, 50_000, 90_000), ((300, 200), (600, 400)))
STEPS = (
    Step(1, 180.0, 5.5, 7.0, 540, client_cores=0.05, server_cores=0.95, loop_share=0.1),
    Step(2, 240.0, 8.0, 11.0, 720, client_cores=0.1, server_cores=1.8, loop_share=0.15),
    Step(4, 245.0, 16.0, 21.0, 735, client_cores=0.1, server_cores=1.8, loop_share=0.15),
    Step(8, 244.0, 32.0, 41.0, 732, client_cores=0.1, server_cores=1.8, loop_share=0.15),
)


def computed(rate: float, threads: int = 2) -> Compute:
    """A model of which so many photos a second are worked out."""
    work = Work(1000 * threads / rate, rate)
    return Compute(threads, work, work, work)


def process(workers: int = 1, threads: int = 2) -> Process:
    """A server."""
    return Process(workers, threads, 1.5, 130 << 20, 200 << 20)


def measured(**changes: Any) -> Measured:
    """Two cores on which 300 photos a second are worked out, and about 240 served."""
    usual = Measured(
        model="shoes@3",
        variant="int8",
        pictures=PICTURES,
        served=Served(STEPS, process()),
        machine="a processor",
        cores=2,
        compute=computed(300.0),
    )
    return replace(usual, **changes)


def elsewhere() -> Measured:
    """A server whose machine nobody knows."""
    steps = tuple(replace(step, server_cores=None, loop_share=None) for step in STEPS)
    return measured(served=Served(steps), compute=None, url="http://elsewhere:8000")
