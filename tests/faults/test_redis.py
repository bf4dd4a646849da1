"""Redis away, hanging, or refusing: photos are answered, and everything else is as documented."""

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.service import MANY, PATIENCE_S, Asked, asking_one, is_refused
from tests.support import RedisServer, eventually, running_redis

WRONG = {
    "cache": "Redis cannot be used; answers are worked out anew",
    "limits": "Redis cannot be used; each process counts requests for itself",
    "idempotency": "Redis cannot be used; requests with an Idempotency-Key are refused",
}


@pytest.fixture
def late(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that has not been started yet."""
    with running_redis(tmp_path, started=False) as server:
        yield server


def _settings(redis: RedisServer, requests: int) -> dict[str, Any]:
    return {
        "REDIS_URL": redis.url,
        "CACHE__REDIS_URL": redis.url,
        "RATE_LIMIT__ENABLED": True,
        "RATE_LIMIT__REQUESTS": requests,
    }


def test_a_server_starts_without_redis_and_uses_it_when_it_comes(
    tmp_path: Path, late: RedisServer
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with asking_one(home, **_settings(late, 10)) as asked:
        assert asked.until_wrong(*WRONG) == WRONG
        counted = [asked.classify() for _ in range(3)]
        left = [answer.headers["RateLimit"].split(";")[1] for answer in counted]
        assert [answer.status_code for answer in counted] == [200] * 3
        used = 10 - int(left[0].removeprefix("r="))  # the looks at metrics count, too
        assert left == [f"r={10 - used - n}" for n in range(3)]
        assert is_refused(asked.classify(Idempotency_Key="a"))
        late.start()
        asked.until_ready()
        assert asked.classify(Idempotency_Key="a").status_code == 200
        kept = " ".join(late.keys())
        assert all(f"viewfinder:{what}" in kept for what in ("result", "rate", "idempotency"))
        eventually(lambda: asked.classify().status_code == 429)


def _kill(redis: RedisServer) -> Callable[[], object]:
    redis.signal(signal.SIGKILL)
    return redis.start


def _hang(redis: RedisServer) -> Callable[[], object]:
    redis.signal(signal.SIGSTOP)
    return lambda: redis.signal(signal.SIGCONT)


def _fill(redis: RedisServer) -> Callable[[], object]:
    assert redis.ask("CONFIG", "SET", "maxmemory", "1") == b"+OK\r\n"
    return lambda: redis.ask("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.parametrize("spoil", [_kill, _hang, _fill])
def test_photos_are_answered_while_redis_is_away(
    tmp_path: Path, redis: RedisServer, spoil: Callable[[RedisServer], Callable[[], object]]
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with asking_one(home, **_settings(redis, 100_000)) as asked:
        asked.until_ready()
        assert asked.classify(Idempotency_Key="a").status_code == 200
        mend = spoil(redis)
        began = time.monotonic()
        asked.classify_many()
        refused = [asked.classify(Idempotency_Key=f"b{n}") for n in range(MANY)]
        # Half a second of each photo, two of each key: that would be minutes.
        assert time.monotonic() - began < PATIENCE_S
        assert all(is_refused(answer) for answer in refused)
        assert asked.until_wrong(*WRONG) == WRONG
        mend()
        _until_used(asked)


def _until_used(asked: Asked) -> None:
    """One that refused is found to be back by those who need it."""
    keys = (f"c{n}" for n in itertools.count())

    def is_used() -> bool:
        key = asked.classify(Idempotency_Key=next(keys)).status_code == 200
        return key and not asked.parts()

    eventually(is_used)
    asked.until_ready()
