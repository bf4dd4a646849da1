"""So many requests from each caller, and each answer says how many are left."""

import re
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from starlette.types import Message, Scope
from tests.robustness.wire import converse
from tests.support import RedisServer, eventually, fake_bundle, serving, serving_here

from viewfinder.api.guards.rate import RateLimit
from viewfinder.app.services import build_services
from viewfinder.settings import Settings, load_settings
from viewfinder.types import Principal

# RFC 9651: a list of one string with integers as parameters.
POLICY = re.compile(r'"default";q=(\d{1,15});w=(\d{1,15})')
STANDING = re.compile(r'"default";r=(\d{1,15});t=(\d{1,15})')


@contextmanager
def _client(store: Path, **limit: Any) -> Iterator[httpx2.Client]:
    fake_bundle(store)
    settings = Settings(
        model_store=store,
        default_model="fake",
        rate_limit={"enabled": True, **limit},
        trusted_proxies=("127.0.0.1",),
    )
    with (
        serving_here(settings) as server,
        httpx2.Client(base_url=server.url, trust_env=False) as client,
    ):
        yield client


def _numbers(pattern: re.Pattern[str], text: str) -> tuple[int, int]:
    found = pattern.fullmatch(text)
    assert found is not None, text
    return int(found[1]), int(found[2])


def test_the_limit_is_reached_and_not_passed(store: Path) -> None:
    with _client(store, requests=5) as client:
        answers = [client.get("/v1/models") for _ in range(7)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    standings = [_numbers(STANDING, answer.headers["RateLimit"]) for answer in answers]
    assert [remaining for remaining, _ in standings] == [4, 3, 2, 1, 0, 0, 0]
    for answer, (_, reset) in zip(answers, standings, strict=True):
        assert _numbers(POLICY, answer.headers["RateLimit-Policy"]) == (5, 60)
        assert 0 < reset <= 61
    for answer, (_, reset) in zip(answers[5:], standings[5:], strict=True):
        assert int(answer.headers["Retry-After"]) >= reset
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] == "rate_limited"
        assert answer.json()["request_id"] == answer.headers["X-Request-ID"]


def test_errors_count_and_say_so(store: Path) -> None:
    with _client(store, requests=2) as client:
        answers = [client.get("/nothing"), client.get("/v1/models/none"), client.get("/nothing")]
    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert all("RateLimit" in answer.headers for answer in answers)


def test_health_and_pages_are_free(store: Path) -> None:
    with _client(store, requests=1) as client:
        for path in ("/health", "/health/live", "/health/ready", "/static/js/api.js", "/") * 2:
            answer = client.get(path)
            assert answer.status_code != 429
            assert "RateLimit" not in answer.headers
        assert client.get("/healthy").status_code == 404
        assert client.get("/other").status_code == 429


def test_a_body_that_is_too_much_is_not_read(store: Path) -> None:
    head = (
        b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n"
    )
    with _client(store, requests=1) as client:
        client.get("/v1/models")
        address = (client.base_url.host, client.base_url.port or 80)
        reply = converse(address, head)
    assert reply.codes == ["rate_limited"]
    assert reply.closed


def test_when_the_window_has_passed_one_may_ask_again(store: Path) -> None:
    with _client(store, requests=2, window_s=1) as client:
        answers = [client.get("/v1/models").status_code for _ in range(3)]
        assert answers == [200, 200, 429]
        eventually(lambda: client.get("/v1/models").status_code == 200)


def test_callers_behind_a_trusted_proxy_are_counted_apart(store: Path) -> None:
    def ask(address: str) -> int:
        return client.get("/v1/models", headers={"X-Forwarded-For": address}).status_code

    with _client(store, requests=1) as client:
        assert [ask("192.0.2.7"), ask("192.0.2.7"), ask("192.0.2.8")] == [200, 429, 200]
        assert [ask("2001:db8::1"), ask("2001:db8::ffff:1"), ask("2001:db8:0:1::1")] == [
            200,
            429,
            200,
        ]
        assert ask("198.51.100.1, 192.0.2.7") == 429


def test_without_a_trusted_proxy_nobody_can_pass_for_another(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with serving(
        tmp_path, "--model", "fake", RATE_LIMIT__ENABLED="true", RATE_LIMIT__REQUESTS=3
    ) as server:
        answers = [
            httpx2.get(
                f"{server.url}/v1/models",
                headers={"X-Forwarded-For": f"192.0.2.{number}"},
                trust_env=False,
            ).status_code
            for number in range(5)
        ]
    assert answers == [200] * 3 + [429] * 2


def test_it_is_off_unless_it_is_asked_for(client: httpx2.Client) -> None:
    assert "RateLimit" not in client.get("/v1/models").headers


class _Asker:
    """Asks the guard alone, as whom it likes."""

    def __init__(self, store: Path, **limit: Any) -> None:
        fake_bundle(store)
        settings = Settings(model_store=store, rate_limit={"enabled": True, **limit})
        state = SimpleNamespace(services=build_services(settings))
        self._app = SimpleNamespace(state=state)

    async def ask(self, principal: Principal | None, address: str = "192.0.2.7") -> int:
        sent: list[Message] = []

        async def app(*_: object) -> None:
            sent.append({"type": "http.response.start", "status": 200, "headers": []})

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            raise AssertionError

        scope: Scope = {
            "type": "http",
            "path": "/v1/models",
            "headers": [],
            "client": (address, 1),
            "app": self._app,
            "state": {"request_id": "1", "principal": principal},
        }
        await RateLimit(app)(scope, receive, send)
        status: int = sent[0]["status"]
        return status


def _key(name: str, requests: int | None = None) -> Principal:
    return Principal(name, frozenset({"classify"}), requests)


async def test_a_key_is_one_caller_wherever_it_is_used_and_has_its_own_limit(store: Path) -> None:
    asker = _Asker(store, requests=1)
    assert await asker.ask(_key("a"), "192.0.2.1") == 200
    assert await asker.ask(_key("a"), "192.0.2.2") == 429
    assert await asker.ask(_key("b"), "192.0.2.1") == 200
    assert await asker.ask(None, "192.0.2.1") == 200
    assert await asker.ask(None, "192.0.2.1") == 429
    assert [await asker.ask(_key("c", 3)) for _ in range(4)] == [200, 200, 200, 429]
    assert await asker.ask(_key("d", 0)) == 429


async def test_a_key_named_like_an_address_is_not_that_address(store: Path) -> None:
    asker = _Asker(store, requests=1)
    assert await asker.ask(_key("192.0.2.7")) == 200
    assert await asker.ask(None, "192.0.2.7") == 200


def _statuses(url: str, count: int) -> Counter[int]:
    # A connection each, so that they are spread over the workers.
    return Counter(
        httpx2.get(f"{url}/v1/models", trust_env=False).status_code for _ in range(count)
    )


def test_workers_share_one_count_and_go_on_when_redis_dies(
    tmp_path: Path, redis: RedisServer
) -> None:
    fake_bundle(tmp_path / "models")
    with serving(
        tmp_path,
        *("--model", "fake", "--workers", "2"),
        REDIS_URL=redis.url,
        RATE_LIMIT__ENABLED="true",
        RATE_LIMIT__REQUESTS=20,
    ) as server:
        eventually(lambda: httpx2.get(f"{server.url}/health", trust_env=False).status_code == 200)
        before = _statuses(server.url, 30)
        if not any("is away" in line for line in server.lines):  # where the machine is that slow
            assert before == {200: 20, 429: 10}
        redis.signal(signal.SIGKILL)
        after = _statuses(server.url, 60)
        assert 20 <= after[200] <= 40  # each for itself
        assert after[200] + after[429] == 60
        server.stop()
    assert any("the rate limit in Redis is away" in line for line in server.lines)
    assert "Traceback" not in "".join(server.lines)


def test_workers_that_cannot_count_together_say_so(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with serving(
        tmp_path, "--model", "fake", "--workers", "2", RATE_LIMIT__ENABLED="true"
    ) as server:
        server.stop()
    assert any("Each of the 2 workers counts requests for itself" in x for x in server.lines)


def test_the_settings_take_networks_and_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIEWFINDER_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::1")
    assert [str(network) for network in load_settings().trusted_proxies] == [
        "10.0.0.0/8",
        "2001:db8::1/128",
    ]
