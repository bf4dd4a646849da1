"""Health, the OpenAPI document, and who may ask."""

from pathlib import Path

import httpx2
import pytest
from tests.support import fake_bundle, grey, serving

from viewfinder import __version__
from viewfinder.net.addresses import is_loopback


@pytest.mark.parametrize("path", ["/health", "/health/live"])
def test_alive(client: httpx2.Client, path: str) -> None:
    assert client.get(path).json() == {"status": "ok", "version": __version__}


@pytest.mark.parametrize("path", ["/health", "/health/live", "/health/ready", "/", "/docs"])
def test_a_probe_may_ask_for_the_head_alone(client: httpx2.Client, path: str) -> None:
    answer = client.head(path)
    assert (answer.status_code, answer.content) == (200, b"")


def test_ready(client: httpx2.Client) -> None:
    body = client.get("/health/ready").json()
    parts = {"model": "ready", "compute": "ready", "results": "ready"}
    assert body == {"status": "ready", "parts": parts}


def test_a_broken_default_model_is_not_ready_but_others_answer(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "models", "shoes")
    fake_bundle(tmp_path / "models", "hats")
    (bundle.folder / "graph.json").write_text("{}")
    with (
        serving(tmp_path, "--model", "shoes", until="is not ready") as server,
        httpx2.Client(base_url=server.url, trust_env=False) as client,
    ):
        ready = client.get("/health/ready")
        assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
        assert client.get("/health/live").status_code == 200
        answer = client.post("/v1/classify?model=hats", files={"file": grey(0)})
        assert answer.status_code == 200
        answer = client.post("/v1/classify", files={"file": grey(0)})
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")


def test_a_preloaded_model_that_is_broken_degrades(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", "hats")
    fake_bundle(tmp_path / "models", "gloves")
    (fake_bundle(tmp_path / "models", "shoes").folder / "graph.json").write_text("{}")
    flags = ("--model", "hats", "--model", "shoes", "--model", "gloves")
    with serving(tmp_path, *flags, until="is not ready") as server:
        body = httpx2.get(f"{server.url}/health/ready", trust_env=False).json()
        models = httpx2.get(f"{server.url}/v1/models", trust_env=False).json()
    assert body["status"] == "degraded"
    assert body["parts"]["model shoes"] == "failed"
    assert models["default"] == "hats"
    states = {model["name"]: model["versions"][0]["state"] for model in models["models"]}
    assert states == {
        "efficientnet-lite0": "unloaded",
        "gloves": "ready",
        "hats": "ready",
        "shoes": "failed",
    }


def test_the_document_names_every_route_body_and_error(client: httpx2.Client) -> None:
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    for path in ("/v1/classify", "/classify", "/v1/batch-classify", "/batch-classify"):
        operation = document["paths"][path]["post"]
        body = operation["requestBody"]["content"]
        assert {"multipart/form-data", "application/json"} <= body.keys()
        assert {parameter["name"] for parameter in operation["parameters"]} >= {"model", "top_k"}
    assert "image/*" in document["paths"]["/v1/classify"]["post"]["requestBody"]["content"]
    schemas = document["components"]["schemas"]
    assert {"class", "confidence", "classes"} <= schemas["Classification"]["properties"].keys()
    for operations in document["paths"].values():
        for operation in operations.values():
            problem = operation["responses"]["default"]["content"]["application/problem+json"]
            assert problem["schema"]["$ref"].endswith("/Problem")
            assert "422" not in operation["responses"]


def _references(value: object) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(_references(item) for item in value))
    return set()


def test_the_document_has_no_dangling_reference(client: httpx2.Client) -> None:
    document = client.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {ref.rpartition("/")[2] for ref in _references(document)} <= schemas.keys()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:99", "[::1]:8000", "127.9.9.9"])
def test_a_loopback_host_is_answered(client: httpx2.Client, host: str) -> None:
    assert client.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
    ],
)
def test_a_page_from_elsewhere_is_refused(client: httpx2.Client, headers: dict[str, str]) -> None:
    answer = client.get("/health", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert answer.headers["x-request-id"]


def test_the_servers_own_page_may_ask(client: httpx2.Client) -> None:
    headers = {"Origin": "http://localhost:8000"}
    assert client.get("/health", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.1.2.3", True), ("::1", True), ("0.0.0.0", False), ("x", False)],
)
def test_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
