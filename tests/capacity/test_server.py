"""The server that is measured, in a process of its own."""

import asyncio
import signal
import subprocess
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.support import fake_bundle, grey, spawned

from viewfinder.capacity.server import _no_interrupt, serving, to_be_measured
from viewfinder.capacity.usage import busiest_loop
from viewfinder.errors import MeasuringError
from viewfinder.settings import AuthSettings, CacheSettings, RateLimitSettings, Settings


def _settings(store: Path, home: Path, model: str = "fake@1") -> Settings:
    """Of a person who has a server that keeps answers, asks for keys, and refuses soon."""
    own = Settings(
        auth=AuthSettings(enabled=True),
        cache=CacheSettings(),
        rate_limit=RateLimitSettings(enabled=True, requests=1),
        queue_size=1,
        record="images",
        trusted_proxies=("10.0.0.1",),
    )
    return to_be_measured(own, store, model, home, workers=1, threads=2)


async def test_it_works_on_every_photo_keeps_nothing_and_is_gone_in_the_end(
    store: Path, tmp_path: Path
) -> None:
    fake_bundle(store)
    home = tmp_path / "home"
    home.mkdir()
    async with serving(_settings(store, home)) as child:
        before = child.usage()
        async with httpx2.AsyncClient(base_url=child.url, trust_env=False) as client:
            headers = {"Content-Type": "image/png"}
            asked = [
                client.post("/v1/classify", content=grey(24), headers=headers) for _ in range(20)
            ]
            answers = [answer.json() for answer in await asyncio.gather(*asked)]
        after = child.usage()
        assert psutil.pid_exists(child.pid)
    assert [answer["cached"] for answer in answers] == [False] * 20
    assert list(home.rglob("*")) == []
    assert not psutil.pid_exists(child.pid)
    assert child.start_s > 0
    assert 0 < before.cpu_s <= after.cpu_s
    assert 0 <= busiest_loop(before, after) <= after.cpu_s - before.cpu_s + 0.02
    assert 10_000_000 < before.resident <= after.peak


async def test_one_that_cannot_answer_is_told_of(store: Path, tmp_path: Path) -> None:
    broken = _settings(store, tmp_path).model_copy(update={"model_store": "ftp://elsewhere"})
    with pytest.raises(MeasuringError, match=r"did not start: ftp://elsewhere"):
        async with serving(broken):
            pass
    assert spawned(psutil.Process().pid) == []


def test_what_starts_meanwhile_is_not_interrupted() -> None:
    def blocked() -> bool:
        asked = ("grep", "SigBlk", "/proc/self/status")
        told = subprocess.run(asked, capture_output=True, check=True, text=True).stdout
        return bool(int(told.split()[1], 16) >> (signal.SIGINT - 1) & 1)

    with _no_interrupt():
        assert blocked()
    assert not blocked()
