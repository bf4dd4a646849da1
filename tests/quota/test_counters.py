"""Counting in memory and in Redis keeps to the same rules."""

import asyncio
import logging
import multiprocessing
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support import RedisServer

from viewfinder.quota.counter import Counter, MemoryCounter
from viewfinder.quota.redis_counter import RedisCounter
from viewfinder.shared.link import open_link


@asynccontextmanager
async def _counter(
    url: str | None, window_s: int = 60, *, patience_s: float = 30
) -> AsyncIterator[Counter]:
    """As `open_counter` makes it, but with patience: a busy machine is not Redis away."""
    counter: Counter = MemoryCounter(window_s)
    if url is not None:
        link = open_link(url, setting="redis_url", what="the rate limit", patience_s=patience_s)
        counter = RedisCounter(link, window_s)
    try:
        yield counter
    finally:
        await counter.close()


@pytest.fixture(params=["memory", "redis"])
def url(request: pytest.FixtureRequest) -> str | None:
    """Where to count."""
    if request.param == "memory":
        return None
    redis: RedisServer = request.getfixturevalue("redis")
    return redis.url


async def test_so_many_are_taken_and_not_one_more(url: str | None) -> None:
    async with _counter(url) as counter:
        standings = [await counter.hit("who", 5) for _ in range(7)]
    assert [standing.allowed for standing in standings] == [True] * 5 + [False] * 2
    assert [standing.remaining for standing in standings] == [4, 3, 2, 1, 0, 0, 0]
    assert {standing.limit for standing in standings} == {5}
    assert all(50 < standing.reset_s <= 61 for standing in standings)


async def test_of_many_at_once_so_many_are_taken(url: str | None) -> None:
    async with _counter(url) as counter:
        standings = await asyncio.gather(*(counter.hit("who", 50) for _ in range(200)))
    assert sum(standing.allowed for standing in standings) == 50


async def test_callers_are_counted_apart_and_have_their_own_limits(url: str | None) -> None:
    async with _counter(url) as counter:
        assert (await counter.hit("one", 1)).allowed
        assert not (await counter.hit("one", 1)).allowed
        assert (await counter.hit("other", 1)).allowed
        assert (await counter.hit("one", 2)).allowed


async def test_a_window_passes(url: str | None) -> None:
    async with _counter(url, 1) as counter:
        assert (await counter.hit("who", 1)).allowed
        async with asyncio.timeout(30):
            while not (await counter.hit("who", 1)).allowed:
                pass
        assert not (await counter.hit("who", 1)).allowed


async def test_what_was_refused_does_not_count(url: str | None) -> None:
    async with _counter(url, 1) as counter:
        for _ in range(50):
            await counter.hit("who", 1)
        standing = await counter.hit("who", 50)
    assert standing.remaining == 48


async def test_memory_forgets_who_has_not_asked_for_longest() -> None:
    counter = MemoryCounter(60, callers=1000)
    for number in range(100_000):
        await counter.hit(f"caller {number}", 1)
        standing = await counter.hit("one who goes on asking", 1)
    assert not standing.allowed
    assert len(counter._windows) == 1000


async def test_redis_forgets_after_two_windows_and_knows_no_names(redis: RedisServer) -> None:
    async with _counter(redis.url) as counter:
        await counter.hit("address 192.0.2.7", 5)
    (key,) = redis.keys()
    assert "192.0.2.7" not in key
    assert 100 < int(redis.ask("TTL", key).removeprefix(b":")) <= 120


async def test_a_value_that_somebody_else_left_there_is_no_trouble(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with _counter(redis.url) as counter:
        await counter.hit("who", 5)
        (key,) = redis.keys()
        redis.ask("HSET", key, "start", "tomorrow", "previous", "x", "current", "")
        assert (await counter.hit("who", 5)).remaining == 4
        redis.ask("DEL", key)
        redis.ask("SET", key, "x")
        assert (await counter.hit("who", 5)).allowed
    assert not caplog.text


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_while_redis_is_away_each_process_counts_for_itself(
    redis: RedisServer,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("viewfinder.shared.redis_link._LEFT_ALONE_S", 0.1)
    caplog.set_level(logging.INFO)
    async with _counter(redis.url, patience_s=1) as counter:
        assert (await counter.hit("who", 1)).allowed
        redis.signal(number)
        assert [(await counter.hit("who", 1)).allowed for _ in range(3)] == [True, False, False]
        if number == signal.SIGKILL:
            redis.start()
        else:
            redis.signal(signal.SIGCONT)
        known = len(redis.keys())
        async with asyncio.timeout(30):
            while len(redis.keys()) == known:
                await counter.hit("another", 1)
    told = [record.message for record in caplog.records]
    assert len(told) == 2
    assert told[0].startswith("the rate limit in Redis is away: ")
    assert told[1] == "the rate limit in Redis is back"


async def test_while_redis_hangs_few_wait_and_not_for_long(redis: RedisServer) -> None:
    async with _counter(redis.url, patience_s=1) as counter:
        await counter.hit("who", 1000)
        redis.signal(signal.SIGSTOP)
        async with asyncio.timeout(30):  # each waiting its turn would take over a minute
            await asyncio.gather(*(counter.hit("who", 10_000) for _ in range(100 * 32)))


def _hit(url: str, times: int) -> int:
    async def run() -> int:
        async with _counter(url) as counter:
            return sum([(await counter.hit("who", 100)).allowed for _ in range(times)])

    return asyncio.run(run())


def test_processes_share_one_count(redis: RedisServer) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        allowed = pool.starmap(_hit, [(redis.url, 50)] * 3)
    assert sum(allowed) == 100
