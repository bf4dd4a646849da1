"""`POST /v1/batch-classify`: per-item answers, in order, side by side."""

import base64
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support import EXPECTED, fake_bundle, grey, photo, serving


@pytest.mark.parametrize("path", ["/v1/batch-classify", "/batch-classify"])
def test_photos_are_answered_in_order(client: httpx2.Client, path: str) -> None:
    names = sorted(EXPECTED)
    answer = client.post(path, files=[("files", (name, photo(name))) for name in names])
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [item["filename"] for item in body["results"]] == names
    assert [item["index"] for item in body["results"]] == list(range(len(names)))
    for name, item in zip(names, body["results"], strict=True):
        assert item["result"]["class"] in EXPECTED[name]
        assert "error" not in item
    assert body["summary"] == {"total": 5, "succeeded": 5, "failed": 0}


def test_one_bad_image_does_not_fail_its_neighbours(client: httpx2.Client) -> None:
    files = [photo("cat.jpg"), b"not an image", b"", photo("cat.jpg")[:5000], photo("sandal.jpg")]
    answer = client.post("/v1/batch-classify", files=[("files", data) for data in files])
    body = answer.json()
    codes = [item.get("error", {}).get("code") for item in body["results"]]
    expected = [None, "unsupported_media_type", "malformed_request", "invalid_image", None]
    assert codes == expected
    assert body["results"][4]["result"]["class"] == "sandal"
    assert body["summary"] == {"total": 5, "succeeded": 2, "failed": 3}


def test_json(client: httpx2.Client) -> None:
    images = [
        {"image": base64.b64encode(grey(0)).decode()},
        {"url": "http://localhost/"},
        {"image": "***"},
        {},
    ]
    answer = client.post("/v1/batch-classify", json={"images": images, "model": "fake", "top_k": 1})
    results = answer.json()["results"]
    assert results[0]["result"]["class"] == "step-0"
    assert len(results[0]["result"]["classes"]) == 1
    codes = [item["error"]["code"] for item in results[1:]]
    assert codes == ["url_fetch_disabled", "malformed_request", "malformed_request"]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"files": {"file": b"x"}}, 400, "malformed_request"),
        ({"json": {"images": []}}, 422, "invalid_parameter"),
        ({"json": {}}, 422, "invalid_parameter"),
        ({"files": {"files": b"x"}, "params": {"model": "nope"}}, 404, "model_not_found"),
        ({"files": {"files": b"x"}, "params": {"top_k": "-1"}}, 422, "invalid_parameter"),
        (
            {"content": b"x", "headers": {"Content-Type": "image/png"}},
            415,
            "unsupported_media_type",
        ),
        ({"files": [("files", b"")] * 1001}, 400, "malformed_request"),
    ],
)
def test_a_batch_that_is_wrong_as_a_whole(
    client: httpx2.Client, request_: dict[str, Any], status: int, code: str
) -> None:
    answer = client.post("/v1/batch-classify", **request_)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_an_item_of_the_wrong_form_fails_alone(client: httpx2.Client) -> None:
    good = {"image": base64.b64encode(grey(0)).decode()}
    images = [{"image": 5}, "text", None, good]
    body = client.post("/v1/batch-classify", json={"images": images, "model": "fake"}).json()
    codes = [item.get("error", {}).get("code") for item in body["results"]]
    assert codes == ["invalid_parameter"] * 3 + [None]


def test_the_error_of_an_item_names_its_request(client: httpx2.Client) -> None:
    answer = client.post("/v1/batch-classify", files={"files": b"x"})
    (item,) = answer.json()["results"]
    assert item["error"]["request_id"] == answer.headers["x-request-id"]


def test_items_run_side_by_side_and_a_short_queue_is_long_enough(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", "slow", milliseconds=100)
    files = [("files", grey(0))] * 24
    with serving(tmp_path, "--model", "slow", "--threads", "4", QUEUE_SIZE=8) as server:
        assert "4 compute threads" in "".join(server.lines)
        answer = httpx2.post(
            f"{server.url}/v1/batch-classify", files=files, trust_env=False, timeout=60
        )
    body = answer.json()
    assert body["summary"]["succeeded"] == 24
    # Four at a time, and never more than a window of eight in the queue.
    waits = sorted(item["result"]["timing_ms"]["queue"] for item in body["results"])
    assert waits[0] < 100 < waits[-1]
