"""`/v1/models` and below."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support import Server, eventually, fake_bundle, grey, serving


def test_every_model_is_listed(client: httpx2.Client) -> None:
    body = client.get("/v1/models").json()
    assert body["default"] == "efficientnet-lite0"
    assert [model["name"] for model in body["models"]] == ["broken", "efficientnet-lite0", "fake"]


def test_a_model_says_its_versions_and_their_states(client: httpx2.Client) -> None:
    client.post("/v1/classify?model=broken", files={"file": b"x"})
    body = client.get("/v1/models/efficientnet-lite0").json()
    assert body["versions"] == [{"version": 1, "state": "ready", "reason": None}]
    assert body["aliases"] == {"latest": 1}
    assert body["labels_count"] == 1000
    (broken,) = client.get("/v1/models/broken").json()["versions"]
    assert broken["state"] == "failed"
    assert "checksum" in broken["reason"]


def test_a_version_says_what_it_is(client: httpx2.Client) -> None:
    body = client.get("/v1/models/efficientnet-lite0/versions/1").json()
    assert body["labels_count"] == 1000
    assert (body["input"]["width"], body["input"]["resize"]) == (224, "crop")
    (variant,) = body["variants"]
    assert (variant["name"], variant["format"], variant["recommended"]) == ("int8", "litert", True)
    assert variant["bytes"] > 5_000_000
    assert {"accuracy", "p50_ms"} <= variant.keys()
    assert body["calibration"] == {"temperature": 1.0, "abstain_below": None}
    assert body["aliases"] == ["latest"]
    assert {"name", "version", "created", "evaluation", "provenance"} <= body.keys()


@pytest.mark.parametrize("path", ["labels", "versions/1/labels"])
def test_the_labels_are_in_the_order_of_the_output(client: httpx2.Client, path: str) -> None:
    body = client.get(f"/v1/models/efficientnet-lite0/{path}").json()
    assert len(body["labels"]) == 1000
    assert body["labels"][281] == {
        "index": 281,
        "class": "tabby",
        "id": "n02123045",
        "description": "tabby, tabby cat",
    }


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("nope", "model_not_found"),
        ("nope/labels", "model_not_found"),
        ("nope/versions/1", "model_not_found"),
        ("nope/versions/x", "model_not_found"),
        ("fake/versions/9", "version_not_found"),
        ("fake/versions/x", "version_not_found"),
        ("fake/versions/0/labels", "version_not_found"),
        ("%2e%2e%2f%2e%2e", "not_found"),
    ],
)
def test_what_is_not_there(client: httpx2.Client, path: str, code: str) -> None:
    answer = client.get(f"/v1/models/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, code)


# -- changes


def _client(server: Server) -> httpx2.Client:
    return httpx2.Client(base_url=server.url, timeout=60, trust_env=False)


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[httpx2.Client]:
    """A server of its own, with three versions of `fake` and a broken one; nothing is cached."""
    store = tmp_path / "models"
    for version in (1, 2, 3):
        fake_bundle(store, version=version)
    (fake_bundle(store, version=4).folder / "graph.json").write_text("{}")
    with (
        serving(
            tmp_path, "--model", "fake", "--threads", "1", CACHE__ENABLED="false", STORE_POLL_S=3600
        ) as server,
        _client(server) as client,
    ):
        yield client


def _version(client: httpx2.Client, model: str = "fake", key: str | None = None) -> int:
    """The version that answers."""
    answer = client.post(
        "/v1/classify",
        params={"model": model},
        content=grey(0),
        headers={"Content-Type": "image/png", **({"X-API-Key": key} if key else {})},
    )
    assert answer.status_code == 200, answer.text
    version: int = answer.json()["model"]["version"]
    return version


def test_an_alias_is_set_moved_and_taken_away(changing: httpx2.Client) -> None:
    answer = changing.put("/v1/models/fake/aliases/stable", json={"version": 2})
    assert answer.status_code == 200
    assert answer.json() == {
        "name": "fake",
        "aliases": {"stable": 2, "latest": 3},
        "traffic": None,
    }
    assert _version(changing) == 2
    changing.put("/v1/models/fake/aliases/stable", json={"version": 1})
    assert (_version(changing), _version(changing, "fake@stable")) == (1, 1)
    assert changing.get("/v1/models/fake").json()["aliases"] == {"stable": 1, "latest": 3}
    answer = changing.delete("/v1/models/fake/aliases/stable")
    assert (answer.status_code, answer.json()["aliases"]) == (200, {"latest": 3})
    assert _version(changing) == 3


def test_traffic_is_split_by_key_and_taken_back(changing: httpx2.Client) -> None:
    split = [{"version": 1, "percent": 50.0}, {"version": 2, "percent": 50.0}]
    answer = changing.put("/v1/models/fake/traffic", json={"split": split})
    assert answer.status_code == 200
    assert answer.json()["traffic"] == {"split": split, "shadow": None}
    seen = {key: {_version(changing, key=key) for _ in range(3)} for key in map(str, range(20))}
    assert {len(versions) for versions in seen.values()} == {1}
    assert set.union(*seen.values()) == {1, 2}
    answer = changing.delete("/v1/models/fake/traffic")
    assert (answer.status_code, answer.json()["traffic"]) == (200, None)
    # A version of the split stands in until version 3 has been loaded again.
    eventually(lambda: {_version(changing, key=key) for key in seen} == {3})


def test_a_shadow_is_compared_where_the_model_is_shown(changing: httpx2.Client) -> None:
    assert changing.get("/v1/models/fake").json()["shadow"] is None
    changing.put("/v1/models/fake/traffic", json={"shadow": 2})
    assert _version(changing) == 3

    def shadow() -> dict[str, Any]:
        told: dict[str, Any] = changing.get("/v1/models/fake").json()["shadow"]
        return told

    eventually(lambda: shadow()["compared"] == 1)
    assert shadow() == {
        "version": 2,
        "compared": 1,
        "agreement": 1.0,
        "confidence_difference": 0.0,
        "failed": 0,
        "skipped": 0,
    }


def test_a_version_is_loaded_and_unloaded(changing: httpx2.Client) -> None:
    answer = changing.post("/v1/models/fake/versions/1/load")
    assert answer.status_code == 200
    assert answer.json() == {"version": 1, "state": "ready", "reason": None}
    answer = changing.post("/v1/models/fake/versions/1/unload")
    assert answer.json() == {"version": 1, "state": "unloaded", "reason": None}
    assert _version(changing, "fake@1") == 1
    states = {one["version"]: one["state"] for one in _states(changing)}
    assert states == {1: "ready", 2: "unloaded", 3: "ready", 4: "failed"}


def _states(client: httpx2.Client) -> list[dict[str, Any]]:
    states: list[dict[str, Any]] = client.get("/v1/models/fake").json()["versions"]
    return states


def test_a_reload_looks_at_the_store_now(changing: httpx2.Client, tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", version=5)
    assert _version(changing) == 3
    answer = changing.post("/v1/models/reload")
    assert answer.status_code == 200
    states = {one["version"]: one["state"] for one in answer.json()["models"]["fake"]}
    assert (states[3], states[4], states[5]) == ("unloaded", "unloaded", "ready")
    assert _version(changing) == 5


def test_a_rollback_goes_back_until_there_is_nothing_before(changing: httpx2.Client) -> None:
    for version in (2, 1):
        assert changing.get("/v1/models/fake").json()["rollback"] == version
        answer = changing.post("/v1/models/fake/rollback")
        assert (answer.status_code, answer.json()["aliases"]["stable"]) == (200, version)
        assert _version(changing) == version
    assert changing.get("/v1/models/fake").json()["rollback"] is None
    answer = changing.post("/v1/models/fake/rollback")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert _version(changing) == 1


@pytest.mark.parametrize(
    ("call", "body", "status", "code"),
    [
        ("PUT hats/aliases/stable", {"version": 1}, 404, "model_not_found"),
        ("PUT fake/aliases/stable", {"version": 9}, 404, "version_not_found"),
        ("PUT fake/aliases/stable", {"version": 4}, 503, "not_ready"),
        ("PUT fake/aliases/latest", {"version": 1}, 422, "invalid_parameter"),
        ("PUT fake/aliases/7", {"version": 1}, 422, "invalid_parameter"),
        ("PUT fake/aliases/Loud", {"version": 1}, 422, "invalid_parameter"),
        ("PUT fake/aliases/stable", {"version": 0}, 422, "invalid_parameter"),
        ("PUT fake/aliases/stable", {"version": "one"}, 422, "invalid_parameter"),
        ("PUT fake/aliases/stable", {}, 422, "invalid_parameter"),
        ("PUT fake/aliases/stable", {"version": 1, "x": 1}, 422, "invalid_parameter"),
        ("DELETE hats/aliases/stable", None, 404, "model_not_found"),
        ("PUT hats/traffic", {"shadow": 1}, 404, "model_not_found"),
        ("PUT fake/traffic", {"shadow": 9}, 404, "version_not_found"),
        ("PUT fake/traffic", {"shadow": 4}, 503, "not_ready"),
        ("PUT fake/traffic", {}, 422, "invalid_parameter"),
        (
            "PUT fake/traffic",
            {"split": [{"version": 1, "percent": 99}]},
            422,
            "invalid_parameter",
        ),
        ("DELETE hats/traffic", None, 404, "model_not_found"),
        ("POST hats/versions/1/load", None, 404, "model_not_found"),
        ("POST fake/versions/9/load", None, 404, "version_not_found"),
        ("POST fake/versions/x/load", None, 404, "version_not_found"),
        ("POST fake/versions/9/unload", None, 404, "version_not_found"),
        ("POST fake/versions/4/load", None, 503, "not_ready"),
        ("POST hats/rollback", None, 404, "model_not_found"),
        ("POST efficientnet-lite0/rollback", None, 409, "conflict"),
        ("GET fake/rollback", None, 405, "method_not_allowed"),
    ],
)
def test_a_change_that_cannot_be_made_is_told_and_changes_nothing(
    unchanged: httpx2.Client, call: str, body: Any, status: int, code: str
) -> None:
    before = unchanged.get("/v1/models/fake").json()["aliases"]
    method, path = call.split()
    answer = unchanged.request(method, f"/v1/models/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    after = unchanged.get("/v1/models/fake").json()
    assert (after["aliases"], after["traffic"]) == (before, None)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    """As `changing`, for those whose changes are all refused."""
    home = tmp_path_factory.mktemp("refusing")
    for version in (1, 2, 3):
        fake_bundle(home / "models", version=version)
    (fake_bundle(home / "models", version=4).folder / "graph.json").write_text("{}")
    with (
        serving(home, "--model", "fake", "--threads", "1") as server,
        _client(server) as client,
    ):
        yield client


def test_taking_away_what_is_not_there_is_no_mistake(changing: httpx2.Client) -> None:
    for path in ("aliases/never", "traffic"):
        assert changing.delete(f"/v1/models/fake/{path}").status_code == 200


def test_a_server_that_others_can_reach_shows_no_strangers_photos_and_lets_nobody_change_its_models(
    tmp_path: Path,
) -> None:
    fake_bundle(tmp_path / "models")
    with serving(
        tmp_path, "--model", "fake", "--threads", "1", "--host", "0.0.0.0", "--insecure"
    ) as server:
        port = server.address[1]
        with httpx2.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False
        ) as client:
            for method, path, body in (
                ("PUT", "fake/aliases/stable", {"version": 1}),
                ("DELETE", "fake/aliases/stable", None),
                ("PUT", "fake/traffic", {"shadow": 1}),
                ("DELETE", "fake/traffic", None),
                ("POST", "fake/versions/1/load", None),
                ("POST", "fake/versions/1/unload", None),
                ("POST", "fake/rollback", None),
                ("POST", "reload", None),
            ):
                answer = client.request(method, f"/v1/models/{path}", json=body)
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), path
            for path in ("", "/fake", "/fake/labels", "/fake/versions/1"):
                assert client.get(f"/v1/models{path}").status_code == 200
            assert _version(client) == 1
            result = "/v1/results/01a2f4c0-5f0e-7c7b-9d35-6d7a4c1f0e11"
            for method, path in (
                ("GET", "/v1/results"),
                ("GET", result),
                ("GET", f"{result}/image"),
                ("DELETE", result),
                ("DELETE", f"/v1/results?image_sha256={'0' * 64}"),
                ("GET", "/v1/jobs"),
            ):
                assert client.request(method, path).status_code == 403, path
            assert client.get("/v1/jobs/01a2f4c0-5f0e-7c7b-9d35-6d7a4c1f0e11").status_code == 404


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "Via"])
def test_what_came_through_a_proxy_changes_nothing(client: httpx2.Client, header: str) -> None:
    through = {header: "192.0.2.7"}
    refused = client.post("/v1/models/reload", headers=through)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert client.get("/v1/models", headers=through).status_code == 200


def test_the_body_of_a_change_is_small_and_json(client: httpx2.Client) -> None:
    address = "/v1/models/fake/aliases/best"
    for content, expected in (
        (b'{"version": 1' + b" " * 100_000 + b"}", (413, "payload_too_large")),
        (b'{"version": ', (400, "malformed_request")),
        (b'{"version": 0}', (422, "invalid_parameter")),
    ):
        headers = {"Content-Type": "application/json"}
        answer = client.put(address, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == expected


# -- the store is watched


def test_a_version_that_is_written_to_the_store_takes_over_by_itself(tmp_path: Path) -> None:
    store = tmp_path / "models"
    fake_bundle(store)
    with (
        serving(
            tmp_path, "--model", "fake", "--threads", "1", STORE_POLL_S=0.2, CACHE__ENABLED="false"
        ) as server,
        _client(server) as client,
    ):
        assert _version(client) == 1
        fake_bundle(store, version=2)
        eventually(lambda: _version(client) == 2)
        (fake_bundle(store, version=3).folder / "graph.json").write_text("{}")
        eventually(lambda: _states(client)[-1]["state"] == "failed")
        assert _version(client) == 2


def test_servers_on_one_store_follow_each_others_changes(tmp_path: Path) -> None:
    store = tmp_path / "models"
    for version in (1, 2):
        fake_bundle(store, version=version)
    start = partial(serving, MODEL_STORE=store, STORE_POLL_S=0.2, CACHE__ENABLED="false")
    with (
        start(tmp_path / "one", "--model", "fake", "--threads", "1") as one,
        start(tmp_path / "two", "--model", "fake", "--threads", "1") as two,
        _client(one) as first,
        _client(two) as second,
    ):
        assert (_version(first), _version(second)) == (2, 2)
        first.put("/v1/models/fake/aliases/stable", json={"version": 1})
        assert _version(first) == 1
        eventually(lambda: _version(second) == 1)
        second.put("/v1/models/fake/aliases/stable", json={"version": 2})
        assert _version(second) == 2
        eventually(lambda: _version(first) == 2)
        second.delete("/v1/models/fake/aliases/stable")
        eventually(lambda: first.get("/v1/models/fake").json()["aliases"] == {"latest": 2})
