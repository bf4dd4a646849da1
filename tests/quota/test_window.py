"""What a sliding window promises, whatever is asked and when."""

import math

from hypothesis import given
from hypothesis import strategies as st

from viewfinder.quota.counter import MemoryCounter
from viewfinder.quota.window import Standing

PAUSES = st.lists(st.sampled_from([0.0, 0.001, 0.1, 0.9, 1.0, 3.3, 9.9, 10.0, 10.1, 25.0]))
LENGTH = 10


class Clock:
    """Seconds, as the test wants them."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def _ask(pauses: list[float], limit: int) -> list[tuple[float, Standing]]:
    clock = Clock()
    counter = MemoryCounter(LENGTH, clock=clock)
    standings = []
    for pause in pauses:
        clock.now += pause
        standings.append((clock.now, await counter.hit("who", limit)))
    return standings


@given(pauses=PAUSES, limit=st.integers(1, 7))
async def test_what_is_said_to_remain_is_taken(pauses: list[float], limit: int) -> None:
    clock = Clock()
    counter = MemoryCounter(LENGTH, clock=clock)
    for pause in pauses:
        clock.now += pause
        standing = await counter.hit("who", limit)
        for left in reversed(range(standing.remaining)):
            standing = await counter.hit("who", limit)
            assert (standing.allowed, standing.remaining) == (True, left)
        assert not (await counter.hit("who", limit)).allowed


@given(pauses=PAUSES, limit=st.integers(1, 7), tries=st.integers(1, 20))
async def test_who_comes_back_when_told_is_let_in(
    pauses: list[float], limit: int, tries: int
) -> None:
    clock = Clock()
    counter = MemoryCounter(LENGTH, clock=clock)
    for pause in pauses:
        clock.now += pause
        for _ in range(tries):
            standing = await counter.hit("who", limit)
        while standing.allowed:
            standing = await counter.hit("who", limit)
        assert 1 <= standing.reset_s <= 2 * LENGTH
        clock.now += standing.reset_s
        assert (await counter.hit("who", limit)).allowed


@given(pauses=PAUSES, limit=st.integers(1, 7))
async def test_two_windows_never_hold_more_than_twice_the_limit(
    pauses: list[float], limit: int
) -> None:
    taken = [now for now, standing in await _ask(pauses, limit) if standing.allowed]
    for first in taken:
        assert sum(first <= now < first + LENGTH for now in taken) <= 2 * limit


async def test_a_burst_at_the_end_of_a_window_counts_in_the_next() -> None:
    standings = await _ask([0, *[9.9] + [0.0] * 8, 0.2, 0.0], 10)
    assert [standing.allowed for _, standing in standings] == [True] * 11 + [False]


async def test_half_a_window_later_half_is_free_again() -> None:
    standings = await _ask([0.0] * 10 + [15.0] + [0.0] * 5, 10)
    assert sum(standing.allowed for _, standing in standings) == 15
    assert not standings[-1][1].allowed


async def test_it_tells_the_whole_window_to_who_is_new() -> None:
    ((_, standing),) = await _ask([0.0], 600)
    assert standing == Standing(limit=600, remaining=599, reset_s=LENGTH, allowed=True)


@given(pauses=PAUSES, limit=st.integers(1, 7))
async def test_what_is_told_is_whole_and_not_negative(pauses: list[float], limit: int) -> None:
    for _, standing in await _ask(pauses, limit):
        assert 0 <= standing.remaining <= limit
        assert standing.reset_s == math.floor(standing.reset_s) >= 0
