"""Keys and answers, in memory and in Redis, by the same rules."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.support import RedisServer, soon

from viewfinder.errors import NotReadyError
from viewfinder.idempotency.redis_store import RedisAnswers
from viewfinder.idempotency.store import AnswerStore, Asked, Claim, Kept, MemoryAnswers
from viewfinder.shared.link import open_link

ANSWER = Kept(Asked("ab" * 32, 7), 200, (("content-type", "image/png"),), b"\x00line\nline\xff")


@asynccontextmanager
async def _answers(
    url: str, *, ttl_s: int = 500, lease_s: float = 90, patience_s: float = 30
) -> AsyncIterator[RedisAnswers]:
    link = open_link(url, setting="redis_url", what="it", patience_s=patience_s)
    answers = RedisAnswers(link, ttl_s=ttl_s, lease_s=lease_s)
    try:
        yield answers
    finally:
        await answers.close()


@pytest.fixture(params=["memory", "redis"])
async def answers(request: pytest.FixtureRequest) -> AsyncIterator[AnswerStore]:
    """An empty store."""
    if request.param == "memory":
        yield MemoryAnswers(500)
        return
    redis: RedisServer = request.getfixturevalue("redis")
    async with _answers(redis.url) as store:
        yield store


async def _claimed(answers: AnswerStore, key: str = "key") -> Claim:
    claim = await answers.claim(key)
    assert isinstance(claim, Claim)
    return claim


async def test_one_of_many_gets_the_claim(answers: AnswerStore) -> None:
    found = await asyncio.gather(*(answers.claim("key") for _ in range(100)))
    assert sum(isinstance(one, Claim) for one in found) == 1
    assert found.count(None) == 99
    await _claimed(answers, "another")


async def test_an_answer_is_kept_as_it_was(answers: AnswerStore) -> None:
    await answers.keep(await _claimed(answers), ANSWER)
    assert [await answers.claim("key") for _ in range(3)] == [ANSWER] * 3


async def test_a_key_that_was_freed_can_be_claimed(answers: AnswerStore) -> None:
    await answers.free(await _claimed(answers))
    await _claimed(answers)
    assert await answers.claim("key") is None


async def test_memory_forgets_in_time() -> None:
    now = 0.0
    answers = MemoryAnswers(500, clock=lambda: now)
    await answers.keep(await _claimed(answers), ANSWER)
    now = 499.0
    assert await answers.claim("key") == ANSWER
    now = 501.0
    await _claimed(answers)


async def test_memory_makes_room_and_never_gives_a_claim_twice() -> None:
    answers = MemoryAnswers(500, most_bytes=100_000)
    running = await _claimed(answers, "running")
    for number in range(1000):
        kept = Kept(Asked("", 0), 200, (), b"\0" * 9000)
        await answers.keep(await _claimed(answers, f"{number}"), kept)
    assert 5 < len(answers._kept) < 11
    assert isinstance(await answers.claim("999"), Kept)
    assert await answers.claim("running") is None
    await answers.free(running)
    assert not answers._running


async def test_redis_forgets_in_time(redis: RedisServer) -> None:
    async with _answers(redis.url, ttl_s=500, lease_s=90) as answers:
        claim = await _claimed(answers)
        (key,) = redis.keys()
        assert 80 < int(redis.ask("TTL", key).removeprefix(b":")) <= 90
        await answers.keep(claim, ANSWER)
        assert 490 < int(redis.ask("TTL", key).removeprefix(b":")) <= 500


async def test_a_process_that_died_holds_a_key_no_longer_than_its_lease(redis: RedisServer) -> None:
    async with _answers(redis.url, lease_s=0.05) as dead, _answers(redis.url) as answers:
        late = await _claimed(dead)
        await soon(lambda: not redis.keys())
        claim = await _claimed(answers)
        await dead.keep(late, ANSWER)  # it was only slow: too late
        await dead.free(late)
        assert await answers.claim("key") is None
        await answers.free(claim)
        assert not redis.keys()


@pytest.mark.parametrize(
    "value", [b"", b"x", b"[]\n", b"{}\n", b'["", 0, 200]\n', b'["", "x", 200, []]\n', b"\xff\n[]"]
)
async def test_what_others_have_written_there_is_no_answer(
    redis: RedisServer, value: bytes
) -> None:
    async with _answers(redis.url) as answers:
        await _claimed(answers)
        (key,) = redis.keys()
        redis.ask("SET", key, value)
        assert await answers.claim("key") is None


async def test_a_claim_whose_answer_was_lost_is_free_again(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.shared.redis_link._LEFT_ALONE_S", 0.1)
    monkeypatch.setattr("viewfinder.idempotency.redis_store._LOST_PAUSE_S", 0.1)
    async with _answers(redis.url) as others, _answers(redis.url, patience_s=1) as answers:
        await answers.free(await _claimed(answers))  # it is connected
        redis.signal(signal.SIGSTOP)
        with pytest.raises(NotReadyError) as caught:
            await answers.claim("key")
        assert caught.value.retry_after_s == 1
        redis.signal(signal.SIGCONT)
        async with asyncio.timeout(30):
            await asyncio.gather(*answers._freeing)
        await _claimed(others)


async def test_of_a_lost_claim_nothing_is_left_under_way(
    redis: RedisServer,
) -> None:
    async with _answers(redis.url, patience_s=0.2) as answers:
        await answers.free(await _claimed(answers))
        redis.signal(signal.SIGSTOP)
        with pytest.raises(NotReadyError):
            await answers.claim("key")
        assert answers._freeing
    assert not answers._freeing
    redis.signal(signal.SIGCONT)


async def test_without_redis_nobody_can_say(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.shared.redis_link._LEFT_ALONE_S", 0.1)
    async with _answers(redis.url, patience_s=1) as answers:
        claim = await _claimed(answers)
        redis.signal(signal.SIGKILL)
        with pytest.raises(NotReadyError):
            await answers.claim("another")
        await answers.keep(claim, ANSWER)
        await answers.free(claim)
        redis.start()

        async with asyncio.timeout(30):
            while True:
                try:
                    assert isinstance(await answers.claim("another"), Claim)
                except NotReadyError:
                    continue
                break
