"""Overload degrades, and never collapses."""

from collections.abc import Iterator

import httpx2
import pytest
from benchmarks.generator import http_request
from benchmarks.overload import figures, measure, measure_peak
from benchmarks.processes import Server, viewfinder
from benchmarks.stores import publish_fake
from tests.support import FULL, grey, in_full

SECONDS = in_full(3, 30)
DEADLINE_MS = 1000
# Two threads that sleep: about 100 photos a second, whatever else the machine does.
MILLISECONDS, THREADS = 20, 2
REQUESTS = (http_request("photo", "/v1/classify", grey(0), deadline_ms=DEADLINE_MS),)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    store = tmp_path_factory.mktemp("models")
    publish_fake(store, "slow", milliseconds=MILLISECONDS)
    arguments = ("--model", "slow", "--threads", str(THREADS))
    with viewfinder(*arguments, VIEWFINDER_MODEL_STORE=str(store)) as running:
        yield running


@pytest.fixture
def peak(server: Server) -> float:
    """Answers a second to clients that wait for them, just before the overload."""
    return measure_peak(server, REQUESTS, SECONDS)


@pytest.mark.parametrize("factor", [2, 10])
def test_what_can_be_answered_is_answered_and_the_rest_refused(
    server: Server, peak: float, factor: int
) -> None:
    seen = measure(server, REQUESTS, peak, factor, SECONDS)
    # Every request got an answer that says how it stands.
    assert seen.outcomes.keys() <= {"photo 200", "photo 503", "photo 504"}, seen.outcomes
    assert seen.outcomes["photo 503"] > 0
    assert seen.goodput >= 0.5 * peak
    # To hear no is quicker than to hear late.
    assert seen.refusal_p50 < DEADLINE_MS / 2
    assert seen.accepted_p99 < 3 * DEADLINE_MS
    assert seen.recovery_s < 60
    if FULL:
        assert all(figure.reached for figure in figures([seen], peak)), figures([seen], peak)
        assert seen.refusal_p50 < 5


def test_afterwards_everything_is_as_before(server: Server) -> None:
    with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        assert client.get("/health/ready").json()["status"] == "ready"
        for _ in range(20):
            answer = client.post(
                "/v1/classify", content=grey(0), headers={"Content-Type": "image/png"}
            )
            assert (answer.status_code, answer.json()["class"]) == (200, "step-0"), answer.text
