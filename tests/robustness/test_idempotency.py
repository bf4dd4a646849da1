"""A hundred requests with one key at once: one is carried out."""

import concurrent.futures
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
from tests.support import (
    Engine,
    RedisServer,
    eventually,
    fake_bundle,
    grey,
    serving,
    serving_here,
)

from viewfinder.settings import CacheSettings, Settings

MANY = 100
HEADERS = {"Content-Type": "image/png", "Idempotency-Key": "0f1d-one-key"}


def _post(url: str, brightness: int = 7) -> httpx2.Response:
    path = f"{url}/v1/classify"
    photo = grey(brightness)
    return httpx2.post(path, content=photo, headers=HEADERS, timeout=120, trust_env=False)


def _check_in_progress(answer: httpx2.Response) -> None:
    assert answer.status_code == 409
    assert answer.json()["code"] == "idempotency_in_progress"
    assert int(answer.headers["Retry-After"]) >= 1


def test_of_many_at_once_one_is_carried_out_and_the_others_wait(
    store: Path, engine: Engine
) -> None:
    fake_bundle(store)
    settings = Settings(
        model_store=store, default_model="fake", threads=2, cache=CacheSettings(enabled=False)
    )
    with (
        serving_here(settings) as server,
        concurrent.futures.ThreadPoolExecutor(MANY) as pool,
    ):
        engine.forget()
        engine.open.clear()
        asking = [pool.submit(_post, server.url) for _ in range(MANY)]
        try:
            eventually(lambda: sum(one.done() for one in asking) == MANY - 1, within=120)
        finally:
            engine.open.set()
        answers = [one.result() for one in asking]
        (first,) = (answer for answer in answers if answer.status_code == 200)
        for answer in answers:
            if answer is not first:
                _check_in_progress(answer)
        again = [_post(server.url) for _ in range(10)]
        other = _post(server.url, 8)
    assert engine.calls == [[7]]
    assert {(answer.status_code, answer.content) for answer in again} == {(200, first.content)}
    assert all(answer.headers["Idempotency-Replayed"] == "true" for answer in again)
    assert other.status_code == 422
    assert other.json()["code"] == "idempotency_key_reused"


def test_workers_carry_out_one_between_them(tmp_path: Path, redis: RedisServer) -> None:
    fake_bundle(tmp_path / "models", "slow", milliseconds=1000)
    with (
        serving(
            tmp_path,
            *("--model", "slow", "--workers", "2"),
            REDIS_URL=redis.url,
            CACHE__ENABLED="false",
        ) as server,
        concurrent.futures.ThreadPoolExecutor(MANY) as pool,
    ):
        answers: list[Any] = list(pool.map(_post, [server.url] * MANY))
        statuses = Counter(answer.status_code for answer in answers)
        assert set(statuses) == {200, 409}
        done = [answer for answer in answers if answer.status_code == 200]
        assert sum("Idempotency-Replayed" not in answer.headers for answer in done) == 1
        for answer in answers:
            if answer.status_code != 200:
                _check_in_progress(answer)
        again = [_post(server.url) for _ in range(20)]
        assert {answer.content for answer in (*done, *again)} == {done[0].content}
        other = _post(server.url, 8)
        assert other.json()["code"] == "idempotency_key_reused"
        assert server.stop() == 0
