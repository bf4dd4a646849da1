"""More than the server can do: refused or dropped in time, and told so."""

import concurrent.futures
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from tests.support import Server, fake_bundle, grey, serving


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Server]:
    """A server with one thread, room for two to wait, and a second of work a photo."""
    fake_bundle(tmp_path / "models", "slow", milliseconds=1000)
    with serving(
        tmp_path, "--model", "slow", "--threads", "1", QUEUE_SIZE=2, CACHE__ENABLED="false"
    ) as server:
        yield server


def _together(server: Server, count: int, headers: dict[str, str]) -> list[httpx2.Response]:
    def ask(_: int) -> httpx2.Response:
        return httpx2.post(
            f"{server.url}/v1/classify",
            content=grey(0),
            headers={"Content-Type": "image/png", **headers},
            timeout=60,
            trust_env=False,
        )

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return list(pool.map(ask, range(count)))


def test_what_does_not_fit_into_the_queue_is_refused(slow: Server) -> None:
    answers = _together(slow, 8, {})
    assert Counter(answer.status_code for answer in answers) == {200: 3, 503: 5}
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.json()["code"] == "overloaded"
    assert int(refused.headers["retry-after"]) >= 1


def test_what_has_waited_past_its_deadline_is_dropped(slow: Server) -> None:
    answers = _together(slow, 3, {"X-Request-Timeout-Ms": "300"})
    counts = Counter(answer.status_code for answer in answers)
    # One that comes after the first is done is refused: by then it is known how long one takes.
    assert counts[200] == 1
    assert counts[504] >= 1
    assert counts[503] + counts[504] == 2
    dropped = next(answer for answer in answers if answer.status_code == 504)
    assert dropped.json()["code"] == "deadline_exceeded"


def test_what_would_come_too_late_is_refused_once_that_is_known(slow: Server) -> None:
    _together(slow, 1, {})
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        patient = pool.submit(_together, slow, 2, {})
        time.sleep(0.3)  # by now these two have two seconds of the thread before them
        hasty = _together(slow, 2, {"X-Request-Timeout-Ms": "300"})
        assert [answer.status_code for answer in hasty] == [503, 503]
        assert [answer.status_code for answer in patient.result()] == [200, 200]
