"""`GET /v1/models` and below."""

import httpx2
import pytest


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
