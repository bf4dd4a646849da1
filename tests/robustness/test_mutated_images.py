"""Thousands of broken images, and a server that neither dies, nor leaks, nor says too much.

TESTS_FULL=1 sends 10,000 in place of 500; MUTANTS_SEED chooses others.
"""

import collections
import http.client
import json
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import psutil
import pytest
from tests.robustness.mutants import Mutant, mutants, originals
from tests.support import FULL, Server, eventually, in_full, serving

COUNT = in_full(500, 10_000)
SEED = int(os.environ.get("MUTANTS_SEED", "1"))
THREADS = 4
# Nothing of these is anyone's business.
TELLING = re.compile(
    rb"/src|site-packages|\.py\b|PIL|viewfinder\.|Traceback|Error\b|Exception|0x[0-9a-f]{6}|/tmp"
)
CODES = {
    413: {"payload_too_large"},
    415: {"unsupported_media_type"},
    422: {"invalid_image", "image_too_large"},
}
MOST_GROWTH = in_full(16, 32) << 20


@dataclass
class Tally:
    """What came back."""

    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    faults: list[str] = field(default_factory=list)
    slowest: tuple[float, str] = (0.0, "")
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, mutant: Mutant, status: int, fault: str | None, seconds: float) -> None:
        """One answer."""
        with self.lock:
            self.statuses[status] += 1
            self.slowest = max(self.slowest, (seconds, mutant.name))
            if fault is not None:
                self.faults.append(f"{mutant.name}: {fault}")
            if FULL and self.statuses.total() % 500 == 0:
                sys.stderr.write(f"{self}\n")

    def __str__(self) -> str:
        seconds, name = self.slowest
        counts = ", ".join(f"{status}: {n}" for status, n in sorted(self.statuses.items()))
        return f"{self.statuses.total()} sent ({counts}); slowest {seconds:.2f} s, {name}"


def fault_of(status: int, kind: str, body: bytes) -> str | None:
    """What is wrong with an answer."""
    if found := TELLING.search(body):
        return f"tells {found[0]!r}: {body[:300]!r}"
    try:
        answer = json.loads(body)
    except ValueError:
        return f"no JSON: {body[:300]!r}"
    if status == 200:
        return None if isinstance(answer.get("class"), str) else f"no class: {body[:300]!r}"
    if kind != "application/problem+json" or answer.get("status") != status:
        return f"no problem: {status} {kind} {body[:300]!r}"
    if answer.get("code") not in CODES.get(status, set()):
        return f"{status} {answer.get('code')}"
    return None


def send(server: Server, batch: Iterator[Mutant], lock: threading.Lock, tally: Tally) -> None:
    """Post mutants over one connection for as long as there are any."""
    connection = http.client.HTTPConnection(*server.address, timeout=120)
    try:
        while True:
            with lock:
                mutant = next(batch, None)
            if mutant is None:
                return
            began = time.monotonic()
            connection.request("POST", "/v1/classify", mutant.data, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            body = answer.read()
            seconds = time.monotonic() - began
            fault = fault_of(answer.status, answer.headers.get_content_type(), body)
            tally.add(mutant, answer.status, fault, seconds)
    finally:
        connection.close()


def fuzz(server: Server, batch: Iterator[Mutant]) -> Tally:
    """Post mutants over several connections at once."""
    tally, lock = Tally(), threading.Lock()
    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(send, server, batch, lock, tally) for _ in range(THREADS)]:
            done.result()
    return tally


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path, CACHE__ENABLED="false") as running:
        yield running


def _has_recorded(server: Server) -> bool:
    return bool(httpx2.get(f"{server.url}/v1/results", trust_env=False).json()["results"])


def test_broken_images_neither_kill_a_server_nor_make_it_leak(server: Server) -> None:
    process = psutil.Process(server.process.pid)
    sound = [Mutant(name, data) for name, data in originals().items()]
    warm_up = fuzz(server, iter([*sound * 4, *mutants(SEED + 1, 100)]))
    assert warm_up.faults == []
    eventually(lambda: _has_recorded(server))  # what records is loaded with the first result
    before = process.memory_info().rss
    tally = fuzz(server, mutants(SEED, COUNT))
    growth = process.memory_info().rss - before
    sys.stderr.write(f"{tally}; grew by {growth / 2**20:.1f} MiB\n")
    assert tally.faults == []
    assert tally.statuses.total() == COUNT
    # They are neither all refused at the first look nor all accepted.
    assert tally.statuses[200] > COUNT / 20
    assert tally.statuses[422] > COUNT / 5
    assert httpx2.get(f"{server.url}/health/ready", trust_env=False).status_code == 200
    assert server.process.poll() is None
    assert growth < MOST_GROWTH
    assert "Traceback" not in "".join(server.lines)
    assert "Warning" not in "".join(server.lines)


def test_every_sound_photo_that_the_mutants_come_from_is_accepted(server: Server) -> None:
    tally = fuzz(server, (Mutant(name, data) for name, data in originals().items()))
    assert tally.faults == []
    assert set(tally.statuses) == {200}


def test_the_same_seed_gives_the_same_mutants() -> None:
    first, again, other = (list(mutants(seed, 50)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
