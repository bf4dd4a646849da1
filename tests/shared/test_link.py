"""The way to Redis: told at the start when it makes no sense, and forgiving once."""

import asyncio
import signal
from pathlib import Path

import pytest
from tests.support import RedisServer, run_command

from viewfinder.shared.link import Link, NoAnswerError, open_link


@pytest.mark.parametrize("url", ["localhost:6379", "redis://localhost:port", "redis://x?colour=1"])
def test_an_address_that_makes_no_sense_is_told_at_the_start(
    tmp_path: Path, redis: RedisServer, url: str
) -> None:
    assert redis.port  # with the package at hand
    result = run_command("serve", "--port", "0", home=tmp_path, REDIS_URL=url)
    assert result.returncode == 2
    assert result.stderr.startswith("viewfinder: the setting redis_url is not valid: ")
    assert result.stderr.count("\n") == 1


def test_without_the_package_the_command_that_installs_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "redis.py").write_text("raise ModuleNotFoundError(name='redis')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "absent"))
    result = run_command("serve", "--port", "0", home=tmp_path, REDIS_URL="redis://localhost")
    assert result.returncode == 1
    assert "pip install 'viewfinder[redis]'" in result.stderr
    assert result.stderr.count("\n") == 1


async def test_a_redis_that_was_started_anew_is_asked_without_a_word(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    link = open_link(redis.url, setting="redis_url", what="it", patience_s=30)
    assert await link.ask(lambda client: client.ping())
    redis.signal(signal.SIGKILL)
    redis.start()
    assert await link.ask(lambda client: client.ping())
    await link.close()
    assert not caplog.text


async def test_one_silence_is_overlooked_and_a_second_is_not(redis: RedisServer) -> None:
    link = open_link(redis.url, setting="redis_url", what="it", patience_s=0.2)
    redis.signal(signal.SIGSTOP)
    together = (link.ask(lambda client: client.ping()) for _ in range(5))
    silent = await asyncio.gather(*together, return_exceptions=True)
    assert all(isinstance(one, NoAnswerError) for one in silent)
    left_alone = [link.left_alone]
    with pytest.raises(NoAnswerError):
        await link.ask(lambda client: client.ping())
    left_alone.append(link.left_alone)
    assert left_alone == [False, True]
    await link.close()


async def test_one_that_answers_and_refuses_is_away_until_it_takes_what_is_asked(
    redis: RedisServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.shared.redis_link._LEFT_ALONE_S", 0.0)
    link = open_link(redis.url, setting="redis_url", what="it", patience_s=30)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    for _ in range(3):
        with pytest.raises(NoAnswerError):
            await link.ask(lambda client: client.set("a", 1))
        await link.look()
        assert link.is_away
    assert caplog.text.count("is away") == 1
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    await link.ask(lambda client: client.set("a", 1))
    assert not link.is_away
    await link.close()


async def test_a_look_finds_out_that_it_is_away_and_that_it_is_back(redis: RedisServer) -> None:
    link = open_link(redis.url, setting="redis_url", what="it", patience_s=30)
    redis.signal(signal.SIGKILL)
    assert await _is_away(link)
    redis.start()
    async with asyncio.timeout(30):
        while link.is_away:
            await link.look()
            await asyncio.sleep(0.05)
    await link.close()


async def _is_away(link: Link) -> bool:
    await link.look()
    return link.is_away
