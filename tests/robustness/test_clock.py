"""A clock that jumps: the service does not notice. Libfaketime moves that of a real server."""

import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx2
import pytest
from tests.api.test_metrics import Scrape
from tests.support import Server, eventually, fake_bundle, grey, needs, serving

_LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
_JUMPS = (timedelta(), *(timedelta(days=days) for days in (-2, 3, 400)))
_EACH = 3


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that says by how much the clock of whoever is started is wrong."""
    needs(
        "libfaketime (Debian: apt-get install faketime)",
        met=shutil.which("faketime") is not None and bool(_LIBRARIES),
    )
    file = tmp_path / "clock"
    file.write_text("+0\n")
    given = {
        "LD_PRELOAD": str(_LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",  # seconds for which it does not look at the file again
        # What the kernel promises never to move stays where it is.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return file


def _move(clock: Path, by: timedelta, server: Server) -> None:
    """Move it, and wait until the server sees it so."""
    moved = clock.with_suffix(".moved")
    moved.write_text(f"{by.total_seconds():+.0f}\n")
    moved.replace(clock)  # nobody reads half of a line

    def is_seen() -> bool:
        date = httpx2.get(f"{server.url}/health", trust_env=False).headers["Date"]
        there = parsedate_to_datetime(date)
        return abs(there - (datetime.now(UTC) + by)) < timedelta(minutes=5)

    eventually(is_seen)


def _ask(server: Server, brightness: int) -> dict[str, float]:
    answer = httpx2.post(
        f"{server.url}/v1/classify",
        content=grey(brightness),
        headers={"Content-Type": "image/png"},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    timing: dict[str, float] = answer.json()["timing_ms"]
    return timing


def test_a_clock_that_jumps_is_not_noticed(tmp_path: Path, clock: Path) -> None:
    home = tmp_path / "home"
    fake_bundle(home / "models")
    with serving(home, DEFAULT_MODEL="fake", CACHE__ENABLED="false") as server:
        for number, jump in enumerate(_JUMPS):
            _move(clock, jump, server)
            for place in range(_EACH):
                timing = _ask(server, number * _EACH + place)
                assert all(0 <= milliseconds < 30_000 for milliseconds in timing.values())
            ready = httpx2.get(f"{server.url}/health/ready", trust_env=False, timeout=30)
            assert ready.json()["status"] == "ready", ready.text
        asked = _EACH * len(_JUMPS)
        eventually(lambda: Scrape(server)("viewfinder_results_written_total") == asked)
        found = Scrape(server)
        answered = {"endpoint": "/v1/classify", "status": "200"}
        assert found("request_latency_seconds_count", **answered) == asked
        assert 0 < found("request_latency_seconds_sum", **answered) < 60
        assert found("viewfinder_results_lost_total") == 0
        assert 0 <= found("viewfinder_event_loop_lag_seconds") < 30
        assert server.stop() == 0
    # It did jump: ids, which never go back, are of three different days.
    with sqlite3.connect(home / "viewfinder.db") as database:
        days = database.execute("SELECT COUNT(DISTINCT substr(id, 1, 6)) FROM results").fetchone()
    assert days[0] == 3
