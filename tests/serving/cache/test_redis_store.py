"""The result cache in a real Redis: shared while it is there, and no trouble when it is not."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import numpy as np
import pytest
from tests.support import (
    Engine,
    RedisServer,
    fake_bundle,
    free_port,
    grey,
    run_command,
    serving,
    soon,
)

from viewfinder.app.running import running
from viewfinder.app.services import build_services
from viewfinder.serving.cache.opening import open_cache
from viewfinder.serving.cache.store import ResultCache
from viewfinder.serving.compute import Scores
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import CacheSettings, Settings

FAR = time.monotonic() + 3600
PREFIX = "viewfinder:result:"


@asynccontextmanager
async def _service(store: Path, url: str, ttl_s: int = 3600) -> AsyncIterator[ClassifyService]:
    cache = CacheSettings(redis_url=url, ttl_s=ttl_s)
    services = build_services(
        Settings(model_store=store, default_model="fake", threads=2, cache=cache)
    )
    async with running(services):
        yield services.classify


@asynccontextmanager
async def _cache(url: str) -> AsyncIterator[ResultCache]:
    cache = open_cache(CacheSettings(redis_url=url))
    assert cache is not None
    try:
        yield cache
    finally:
        await cache.close()


async def test_services_share_their_answers(
    store: Path, engine: Engine, redis: RedisServer
) -> None:
    fake_bundle(store)
    async with _service(store, redis.url) as one, _service(store, redis.url) as other:
        engine.forget()
        first = await one.classify(grey(200), deadline=FAR, top_k=16)
        await soon(redis.keys)
        again = await other.classify(grey(200), deadline=FAR, top_k=16)
    assert engine.calls == [[200]]
    assert (first.cached, again.cached) == (False, True)
    assert (again.classes, again.model) == (first.classes, first.model)


async def test_another_version_shares_nothing(
    store: Path, engine: Engine, redis: RedisServer
) -> None:
    fake_bundle(store, version=1)
    fake_bundle(store, version=2, classes=4)
    async with _service(store, redis.url) as service:
        answers = []
        for version in (1, 2):
            engine.forget()
            model = f"fake@{version}"
            answers.append(await service.classify(grey(200), deadline=FAR, model=model))
    assert [(a.top.label, a.cached) for a in answers] == [("step-12", False), ("step-3", False)]
    assert len(redis.keys()) == 2


async def test_answers_expire(store: Path, redis: RedisServer) -> None:
    fake_bundle(store)
    async with _service(store, redis.url, ttl_s=500) as service:
        await service.classify(grey(200), deadline=FAR)
    (key,) = redis.keys()
    assert key.startswith(PREFIX)
    assert 400 < int(redis.ask("TTL", key).removeprefix(b":")) <= 500


async def test_what_is_stored_says_nothing_of_the_photo_but_its_digest(
    store: Path, redis: RedisServer
) -> None:
    fake_bundle(store)
    async with _service(store, redis.url) as service:
        await service.classify(grey(200), deadline=FAR)
    (key,) = redis.keys()
    assert redis.ask("STRLEN", key) == b":%d\r\n" % (16 * 8)


async def _ask_all(service: ClassifyService, first: int, count: int = 20) -> list[bool]:
    """Whether each of some photos came from the cache."""
    answers = await asyncio.gather(
        *(service.classify(grey(first + n), deadline=FAR) for n in range(count))
    )
    assert [answer.top.index for answer in answers] == [(first + n) // 16 for n in range(count)]
    return [answer.cached for answer in answers]


async def _comes_back(service: ClassifyService, redis: RedisServer, brightness: int) -> None:
    """Ask until an answer has found its way into Redis and out of it."""

    async with asyncio.timeout(30):
        while not (await service.classify(grey(brightness), deadline=FAR)).cached:
            pass
    assert redis.keys()


@pytest.fixture
def impatient(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that was away is tried again soon."""
    assert redis
    monkeypatch.setattr("viewfinder.shared.redis_link._LEFT_ALONE_S", 0.2)


@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_is_killed_and_comes_back(
    store: Path, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    fake_bundle(store)
    async with _service(store, redis.url) as service:
        await _comes_back(service, redis, 0)
        redis.signal(signal.SIGKILL)
        assert not any(await _ask_all(service, 20))
        assert not any(await _ask_all(service, 20))
        redis.start()
        await _comes_back(service, redis, 0)
    assert "the result cache in Redis is away" in caplog.text


@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_hangs_and_goes_on(store: Path, redis: RedisServer) -> None:
    fake_bundle(store)
    async with _service(store, redis.url) as service:
        await _comes_back(service, redis, 0)
        redis.signal(signal.SIGSTOP)
        assert not any(await _ask_all(service, 20))
        assert not any(await _ask_all(service, 40))
        redis.signal(signal.SIGCONT)
        await _comes_back(service, redis, 100)
        assert all(await _ask_all(service, 100, 1))


async def test_closing_while_redis_hangs_ends(store: Path, redis: RedisServer) -> None:
    fake_bundle(store)
    async with asyncio.timeout(30), _service(store, redis.url) as service:
        await _ask_all(service, 0)
        redis.signal(signal.SIGSTOP)
        await _ask_all(service, 40)


@pytest.mark.usefixtures("impatient")
async def test_a_redis_that_is_away_at_the_start_is_found_later(
    store: Path, redis: RedisServer
) -> None:
    fake_bundle(store)
    redis.signal(signal.SIGKILL)
    async with _service(store, redis.url) as service:
        assert not any(await _ask_all(service, 0))
        redis.start()
        await _comes_back(service, redis, 0)


async def test_while_it_is_left_alone_nobody_waits_for_it(
    store: Path, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    fake_bundle(store)
    redis.signal(signal.SIGKILL)
    async with _service(store, redis.url) as service:
        for first in range(0, 200, 20):
            await _ask_all(service, first)
    assert caplog.text.count("is away") == 1


async def test_more_requests_than_connections_get_their_own_answers(
    store: Path,
    redis: RedisServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake_bundle(store)
    # Two hundred at once keep a slow machine busy for longer than Redis is given.
    monkeypatch.setattr("viewfinder.serving.cache.opening._REDIS_PATIENCE_S", 60)
    async with _service(store, redis.url) as service:
        await _ask_all(service, 0, 200)
        await soon(lambda: len(redis.keys()) == 200)
        assert all(await _ask_all(service, 0, 200))
    assert not caplog.text


async def test_who_leaves_while_redis_answers_leaves_no_answer_to_others(
    redis: RedisServer,
) -> None:
    async with _cache(redis.url) as cache:
        for n in range(40):
            redis.ask("SET", f"{PREFIX}{n}", f"value {n}")
        for turns in range(12):
            leaving = [asyncio.create_task(cache.get(str(n % 40))) for n in range(100)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in leaving[::2]:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            values = await asyncio.gather(*(cache.get(str(n)) for n in range(40)))
            assert values == [f"value {n}".encode() for n in range(40)]


def _scores(indices: list[int], confidence: list[float]) -> bytes:
    return np.array(indices, np.int32).tobytes() + np.array(confidence, np.float32).tobytes()


HOSTILE = {
    "nothing": b"",
    "text": b"hello",
    "a byte short": Scores.best(np.full(16, 1 / 16, np.float32)).to_bytes()[:-1],
    "a class short": Scores.best(np.full(15, 1 / 15, np.float32)).to_bytes(),
    "a class too many": Scores.best(np.full(17, 1 / 17, np.float32)).to_bytes(),
    "megabytes": b"\0" * 5_000_000,
    "zeros": b"\0" * 128,
    "ones": b"\xff" * 128,
    "an index out of range": _scores([*range(1, 17)], [1 / 16] * 16),
    "a negative index": _scores([-1, *range(1, 16)], [1 / 16] * 16),
    "not a number": _scores([*range(16)], [float("nan")] * 16),
    "more than certain": _scores([*range(16)], [2.0] * 16),
    "worst first": _scores([*range(16)], [n / 16 for n in range(16)]),
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_others_have_written_there_is_a_miss_and_is_replaced(
    store: Path, redis: RedisServer, value: bytes
) -> None:
    fake_bundle(store)
    async with _service(store, redis.url) as service:
        right = await service.classify(grey(200), deadline=FAR)
        await soon(redis.keys)
        (key,) = redis.keys()
        kept = redis.ask("GET", key)
        redis.ask("SET", key, value)
        answer = await service.classify(grey(200), deadline=FAR)
        assert (answer.classes, answer.cached) == (right.classes, False)
        await soon(lambda: redis.ask("GET", key) == kept)
        again = await service.classify(grey(200), deadline=FAR)
        assert (again.classes, again.cached) == (right.classes, True)


async def test_a_key_of_another_type_is_a_miss_and_nothing_more(
    store: Path, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    fake_bundle(store)
    async with _service(store, redis.url) as service:
        await _ask_all(service, 0, 1)
        (key,) = redis.keys()
        redis.ask("DEL", key)
        redis.ask("LPUSH", key, "x")
        assert await _ask_all(service, 0, 1) == [False]
        await soon(lambda: redis.ask("TYPE", key) == b"+string\r\n")
        assert await _ask_all(service, 0, 1) == [True]
    assert not caplog.text


async def test_values_stay_bytes_whatever_the_address_says(redis: RedisServer) -> None:
    async with _cache(f"{redis.url}?decode_responses=true") as cache:
        await cache.put("key", b"\xff\x00\xfe")
        await soon(redis.keys)
        assert await cache.get("key") == b"\xff\x00\xfe"


@pytest.mark.parametrize(
    "url",
    ["localhost:6379", "http://localhost", "redis://localhost:port", "redis://localhost?colour=1"],
)
def test_an_address_that_makes_no_sense_is_told_at_the_start(
    tmp_path: Path, redis: RedisServer, url: str
) -> None:
    assert redis.port  # with the package at hand
    result = run_command("serve", "--port", "0", home=tmp_path, CACHE__REDIS_URL=url)
    assert result.returncode == 2
    assert result.stderr.startswith("viewfinder: the setting cache.redis_url is not valid: ")
    assert result.stderr.count("\n") == 1


def test_without_the_package_the_command_that_installs_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "redis.py").write_text("raise ModuleNotFoundError(name='redis')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "absent"))
    url = "redis://localhost"
    result = run_command("serve", "--port", "0", home=tmp_path, CACHE__REDIS_URL=url)
    assert result.returncode == 1
    assert "pip install 'viewfinder[redis]'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_server_answers_with_redis_and_when_it_is_killed(
    tmp_path: Path, redis: RedisServer
) -> None:
    fake_bundle(tmp_path / "models")
    with (
        serving(tmp_path, "--model", "fake", CACHE__REDIS_URL=redis.url) as server,
        httpx2.Client(base_url=server.url, trust_env=False) as client,
    ):

        def ask(brightness: int) -> httpx2.Response:
            headers = {"Content-Type": "image/png"}
            return client.post("/v1/classify", content=grey(brightness), headers=headers)

        assert [ask(n).status_code for n in range(20)] == [200] * 20
        redis.signal(signal.SIGKILL)
        assert [ask(n).status_code for n in range(20)] == [200] * 20
        assert server.stop() == 0
    text = "".join(server.lines)
    assert text.count("is away") == 1
    assert "Traceback" not in text


def test_a_server_starts_where_there_is_no_redis(tmp_path: Path, redis: RedisServer) -> None:
    assert redis.port
    url = f"redis://127.0.0.1:{free_port()}"
    fake_bundle(tmp_path / "models")
    with serving(tmp_path, "--model", "fake", CACHE__REDIS_URL=url) as server:
        answer = httpx2.post(f"{server.url}/v1/classify", files={"file": grey(0)}, trust_env=False)
        assert answer.json()["class"] == "step-0"
        assert server.stop() == 0
