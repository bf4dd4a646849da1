"""The secret of callbacks over HTTP: told to whom it belongs, and to nobody else."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from tests.jobs.receiver import put, receiving
from tests.support import LocalServer, eventually, fake_bundle, grey, serving_here

from viewfinder.access.keys import make_key
from viewfinder.api.webhooks import callback_of
from viewfinder.settings import AuthSettings, Settings, WebhookSettings
from viewfinder.storage.deliveries import Attempt, Deliveries
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.schema import open_database
from viewfinder.storage.secrets import WebhookSecrets

SECRET, ROTATE = "/v1/webhooks/secret", "/v1/webhooks/secret/rotate"
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[LocalServer]:
    """A server without keys, at a loopback address."""
    fake_bundle(tmp_path / "models")
    with serving_here(Settings(home=tmp_path, default_model="fake")) as server:
        yield server


def _ask(
    server: LocalServer, method: str, path: str, headers: dict[str, str] | None = None
) -> httpx2.Response:
    return httpx2.request(
        method, f"{server.url}{path}", headers=headers, trust_env=False, timeout=60
    )


def test_the_secret_is_told_and_changes_when_it_is_rotated(own: LocalServer) -> None:
    first = _ask(own, "GET", SECRET)
    assert first.headers["cache-control"] == "no-store"
    assert first.json()["secret"].startswith("whsec_")
    assert first.json()["previous_until"] is None
    assert _ask(own, "GET", SECRET).json() == first.json()
    # A key that nobody asked for is nobody's.
    assert _ask(own, "GET", SECRET, {"X-API-Key": "whatever"}).json() == first.json()
    second = _ask(own, "POST", ROTATE)
    assert second.headers["cache-control"] == "no-store"
    assert second.json()["secret"] != first.json()["secret"]
    day = datetime.fromisoformat(second.json()["previous_until"]) - datetime.now(UTC)
    assert timedelta(hours=23) < day <= timedelta(hours=24)
    assert _ask(own, "GET", SECRET).json() == second.json()


def test_a_server_without_keys_tells_it_to_nobody_who_comes_by_a_proxy(own: LocalServer) -> None:
    for method, path in (("GET", SECRET), ("HEAD", SECRET), ("POST", ROTATE)):
        refused = _ask(own, method, path, {"X-Forwarded-For": "192.0.2.1"})
        assert refused.status_code == 403
        if method != "HEAD":
            assert refused.json()["code"] == "forbidden"
            assert "viewfinder keys webhook-secret" in refused.json()["detail"]


def test_nor_does_one_at_a_public_address(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    open_to_all = Settings(
        home=tmp_path, host="0.0.0.0", auth=AuthSettings(enabled=False), default_model="fake"
    )
    with serving_here(open_to_all) as server:
        for method, path in (("GET", SECRET), ("POST", ROTATE)):
            assert _ask(server, method, path).json()["code"] == "forbidden"
        assert not (tmp_path / "viewfinder.db").exists()


def test_each_key_has_a_secret_of_its_own(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    settings = Settings(home=tmp_path, auth=AuthSettings(enabled=True), default_model="fake")
    made = [make_key(name, now=NOW, scopes=["classify"]) for name in ("one", "two")]

    async def fill() -> None:
        database = await open_database(settings)
        for key, _ in made:
            await ApiKeys(database).add(key)
        await database.close()

    asyncio.run(fill())
    with serving_here(settings) as server:
        secrets = []
        for _, token in made:
            bearer = {"Authorization": f"Bearer {token}"}
            secrets.append(_ask(server, "GET", SECRET, bearer).json()["secret"])
        rotated = _ask(server, "POST", ROTATE, {"X-API-Key": made[0][1]}).json()["secret"]
        still = _ask(server, "GET", SECRET, {"X-API-Key": made[1][1]}).json()["secret"]
    assert len({*secrets, rotated}) == 3
    assert still == secrets[1]

    async def kept() -> str:
        database = await open_database(settings)
        found = await WebhookSecrets(database).of(f"key:{made[0][0].id}", NOW)
        await database.close()
        return found.secret

    assert asyncio.run(kept()) == rotated


def test_a_job_that_is_over_calls_back_and_says_how_that_went(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with receiving() as receiver:
        called = WebhookSettings(allow_private=True, ports=(receiver.port,))
        given = Settings(home=tmp_path, default_model="fake", webhooks=called)
        with serving_here(given) as server, _client(server) as http:
            files = [("files", (f"{n}.png", grey(n), "image/png")) for n in range(3)]
            job = http.post("/v1/jobs", files=files, data={"callback_url": receiver.url}).json()
            where = f"/v1/jobs/{job['id']}"
            eventually(lambda: (http.get(where).json()["callback"]["state"]) == "delivered")
            shown = http.get(where).json()["callback"]
            secret = http.get(SECRET).json()["secret"]
            (listed,) = http.get("/v1/jobs").json()["jobs"]
    (call,) = receiver.calls
    assert call.verifies(secret)
    body = json.loads(call.body)
    assert (body["type"], body["data"]["id"]) == ("job.succeeded", job["id"])
    assert (shown["id"], shown["url"], shown["next_attempt"]) == (call.id, receiver.url, None)
    assert [attempt["status"] for attempt in shown["attempts"]] == [204]
    assert listed["callback"]["url"] == receiver.url


def _client(server: LocalServer) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, trust_env=False, timeout=60)


async def test_a_job_says_how_its_callback_stands(tmp_path: Path) -> None:
    link = DatabaseLink(Settings(home=tmp_path))
    assert await callback_of(link, "j") is None
    database = await link.open()
    identifier = await put(database, "https://example.com/hook", NOW, job="j")
    deliveries = Deliveries(database)
    (claimed,) = await deliveries.claim(NOW, 30, "one", 1)
    later = NOW + timedelta(seconds=5)
    failed = Attempt(NOW, 0.25, None, "no answer")
    await deliveries.record(claimed, "one", failed, "waiting", next_due=later, now=NOW)
    shown = await callback_of(link, "j")
    assert shown is not None
    assert shown.model_dump(mode="json") == {
        "id": identifier,
        "url": "https://example.com/hook",
        "state": "waiting",
        "attempts": [
            {"at": "2026-05-01T12:00:00Z", "seconds": 0.25, "status": None, "error": "no answer"}
        ],
        "next_attempt": "2026-05-01T12:00:05Z",
    }
    await link.close()
