"""Reload drops nothing, and a version that is broken changes nothing but its own state."""

from pathlib import Path
from typing import Any

import httpx2
from tests.broken import BROKEN, colours, good
from tests.robustness.clients import Clients
from tests.support import Server, eventually, fake_bundle, grey, in_full, request_of, serving

RELOADS = in_full(10, 100)
PHOTO = request_of(grey(0))


def _reload(client: httpx2.Client) -> None:
    assert client.post("/v1/models/reload").is_success


def _version(client: httpx2.Client) -> int:
    answer = client.post("/v1/classify", content=grey(0), headers={"Content-Type": "image/png"})
    assert answer.is_success, answer.text
    version: int = answer.json()["model"]["version"]
    return version


def _client(server: Server) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, timeout=60, trust_env=False)


def test_while_versions_come_and_go_no_request_fails(tmp_path: Path) -> None:
    """Of a real runtime, that would not stand an engine closed under a request."""
    place, aside = tmp_path / "models" / "colours", tmp_path / "2"
    for version in (1, 2):
        colours(place / str(version))
    (place / "2").rename(aside)
    with (
        serving(tmp_path, "--model", "colours", "--threads", "2", CACHE__ENABLED="false") as server,
        _client(server) as client,
        Clients(server.address, PHOTO, kept=3, new=1) as clients,
    ):
        for turn in range(RELOADS):
            comes = turn % 2 == 0
            source, target = (aside, place / "2") if comes else (place / "2", aside)
            source.rename(target)
            _reload(client)
            assert _version(client) == (2 if comes else 1)
            clients.go_on(20)
    assert clients.kinds.keys() == {"200"}


def test_whatever_is_broken_the_version_before_serves_and_the_reason_is_told(
    tmp_path: Path,
) -> None:
    assert len(BROKEN) >= 20
    store = tmp_path / "models"
    good(store, 1)
    with (
        serving(tmp_path, "--model", "fake", CACHE__ENABLED="false") as server,
        _client(server) as client,
        Clients(server.address, PHOTO, kept=1, new=1) as clients,
    ):
        for version, (damage, _) in enumerate(BROKEN.values(), 2):
            damage(good(store, version))
        _reload(client)
        assert _version(client) == 1
        eventually(lambda: "loading" not in client.get("/v1/models/fake").text, within=120)
        versions = client.get("/v1/models/fake").json()["versions"]
        told = {one["version"]: one for one in versions}
        for version, (kind, (_, word)) in enumerate(BROKEN.items(), 2):
            _check(told[version], kind, word)
        # What is good takes over, whatever lies beside it.
        newest = len(BROKEN) + 2
        good(store, newest)
        _reload(client)
        assert _version(client) == newest
        clients.go_on(20)
    assert clients.kinds.keys() == {"200"}


def _check(told: dict[str, Any], kind: str, word: str) -> None:
    reason = str(told.get("reason"))
    assert (told["state"], word in reason) == ("failed", True), (kind, told)
    assert " /" not in reason
    assert "models/" not in reason


def test_a_version_that_is_none_yet_is_no_version(tmp_path: Path) -> None:
    """A folder that is empty, or whose manifest is still to come."""
    store = tmp_path / "models"
    fake_bundle(store, version=1)
    with serving(tmp_path, "--model", "fake") as server, _client(server) as client:
        (store / "fake" / "2").mkdir()
        (fake_bundle(store, version=3).folder / "bundle.json").unlink()
        _reload(client)
        assert _version(client) == 1
        for version in (2, 3):
            answer = client.get(f"/v1/models/fake/versions/{version}")
            assert str(tmp_path) not in answer.text
