"""Who may ask what, on a real server that asks for keys."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest
from fastapi.routing import iter_route_contexts
from tests.oidc import AUDIENCE, running_provider
from tests.support import (
    Server,
    eventually,
    exchange,
    fake_bundle,
    grey,
    request_of,
    serving,
    serving_here,
)

from viewfinder.access.keys import SCOPES, make_key
from viewfinder.app import create_app
from viewfinder.serving.service import ClassifyService
from viewfinder.settings import AuthSettings, Settings
from viewfinder.storage.keys import ApiKeys
from viewfinder.storage.schema import open_database
from viewfinder.types import AccessScope, Prediction

GUARDED = {"AUTH__ENABLED": "true", "AUTH__REFRESH_S": "0.1"}
DAY = timedelta(days=1)
_T = TypeVar("_T")

# What each route needs. A new route fails the test below until somebody has thought about it.
ROUTES: dict[str, AccessScope | None] = {
    "GET /": None,
    "GET /docs": None,
    "GET /openapi.json": None,
    "GET /static/js/api.js": None,
    "GET /models": None,
    "GET /review": None,
    "GET /activity": None,
    "GET /live": None,
    "GET /viewer": None,
    "GET /health": None,
    "GET /health/live": None,
    "GET /health/ready": None,
    "GET /metrics": "read",
    "POST /classify": "classify",
    "POST /v1/classify": "classify",
    "POST /batch-classify": "classify",
    "POST /v1/batch-classify": "classify",
    "GET /v1/models": "read",
    "GET /v1/models/{name}": "read",
    "GET /v1/models/{name}/labels": "read",
    "GET /v1/models/{name}/versions/{version}": "read",
    "GET /v1/models/{name}/versions/{version}/labels": "read",
    "GET /v1/models/{name}/versions/{version}/documents": "read",
    "GET /v1/models/{name}/versions/{version}/documents/{path:path}": "read",
    "POST /v1/models/reload": "manage",
    "POST /v1/models/{name}/versions/{version}/load": "manage",
    "POST /v1/models/{name}/versions/{version}/unload": "manage",
    "PUT /v1/models/{name}/aliases/{alias}": "manage",
    "DELETE /v1/models/{name}/aliases/{alias}": "manage",
    "PUT /v1/models/{name}/traffic": "manage",
    "DELETE /v1/models/{name}/traffic": "manage",
    "POST /v1/models/{name}/rollback": "manage",
    "POST /v1/jobs": "classify",
    "GET /v1/jobs": "read",
    "GET /v1/jobs/{job_id}": "read",
    "GET /v1/jobs/{job_id}/results": "read",
    "DELETE /v1/jobs/{job_id}": "classify",
    "GET /v1/models/{name}/live-accuracy": "read",
    "GET /v1/models/{name}/drift": "read",
    "GET /v1/results": "read",
    "DELETE /v1/results": "manage",
    "GET /v1/results/export": "manage",
    "GET /v1/results/{identifier}": "read",
    "DELETE /v1/results/{identifier}": "manage",
    "GET /v1/results/{identifier}/image": "read",
    "PUT /v1/results/{identifier}/feedback": "classify",
    "DELETE /v1/results/{identifier}/feedback": "classify",
    "GET /v1/webhooks/secret": "classify",
    "POST /v1/webhooks/secret/rotate": "classify",
}
NO_ROUTES: dict[str, AccessScope] = {
    "GET /v1/nothing": "read",
    "GET /v1/classify": "read",
    "GET /health/": "read",
    "GET /static": "read",
    "GET /docs%0A": "read",
    "GET /v1/models/..%2f..%2fhealth": "read",
    "HEAD /v1/models": "read",
    "HEAD /v1/webhooks/secret": "classify",
    "HEAD /v1/results/export": "manage",
    "GET /v1/results/export/": "read",
    "GET /v1/webhooks/secret/": "read",
    "GET /v1/webhooks/secret/rotate": "read",
    "PUT /v1/webhooks/secret": "manage",
    "POST /health": "manage",
    "POST /v1/nothing": "manage",
    "DELETE /v1/classify": "manage",
    "PUT /static/js/api.js": "manage",
    "OPTIONS /v1/models": "manage",
    "TRACE /": "manage",
}


def _make(home: Path, name: str, *scopes: AccessScope, expires: datetime | None = None) -> str:
    """Make a key where the server looks."""
    key, token = make_key(name, now=datetime.now(UTC), scopes=scopes, expires=expires)
    _with_keys(home, lambda keys: keys.add(key))
    return token


def _with_keys(home: Path, ask: Callable[[ApiKeys], Awaitable[_T]]) -> _T:
    async def asked() -> _T:
        database = await open_database(Settings(home=home))
        try:
            return await ask(ApiKeys(database))
        finally:
            await database.close()

    return asyncio.run(asked())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guarded")
    fake_bundle(folder / "models")
    return folder


@pytest.fixture(scope="module")
def keys(home: Path) -> dict[AccessScope, str]:
    """A key for each scope."""
    return {scope: _make(home, scope, scope) for scope in SCOPES}


@pytest.fixture(scope="module")
def guarded(home: Path, keys: dict[AccessScope, str]) -> Iterator[Server]:
    """A server that asks for them."""
    assert keys
    with serving(home, "--model", "fake", **GUARDED) as server:
        yield server


@pytest.fixture(scope="module")
def guest(guarded: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=guarded.url, timeout=60, trust_env=False) as http:
        yield http


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_the_table_has_every_route() -> None:
    found = set()
    for route in iter_route_contexts(create_app(Settings()).routes):
        path = "/static/js/api.js" if route.path == "/static" else route.path
        found |= {f"{method} {path}" for method in route.methods or {"GET"}}
    looks = {name for name in ROUTES if name.startswith("GET")}
    heads = {name.replace("GET", "HEAD", 1) for name in looks}
    assert found - heads == ROUTES.keys()


@pytest.mark.parametrize(("route", "needed"), [*ROUTES.items(), *NO_ROUTES.items()])
def test_each_route_takes_the_scope_that_it_needs_and_no_other(
    guest: httpx2.Client,
    keys: dict[AccessScope, str],
    route: str,
    needed: AccessScope | None,
) -> None:
    method, path = re.sub(r"\{[\w:]+\}", "unknown", route).split()

    def ask(headers: dict[str, str]) -> httpx2.Response:
        return guest.request(method, path, headers=headers)

    without = ask({})
    if needed is None:
        assert without.status_code == 200
        assert ask(_bearer("nonsense")).status_code == 200
        return
    assert without.status_code == 401
    assert without.headers["WWW-Authenticate"] == "Bearer"
    if method != "HEAD":
        assert without.json()["code"] == "unauthenticated"
    for scope in SCOPES:
        answer = ask(_bearer(keys[scope]))
        if scope == needed:
            assert answer.status_code not in {401, 403}
        else:
            assert answer.status_code == 403
            if method != "HEAD":
                assert answer.json()["code"] == "forbidden"
                assert f"`{needed}`" in answer.json()["detail"]


def test_a_key_opens_in_either_header_and_in_both(
    guest: httpx2.Client, keys: dict[AccessScope, str]
) -> None:
    key, other = keys["read"], keys["manage"]

    def status(*headers: tuple[str, str]) -> int:
        return guest.get("/v1/models", headers=list(headers)).status_code

    assert status(("Authorization", f"Bearer {key}")) == 200
    assert status(("Authorization", f"bearer   {key}")) == 200
    assert status(("X-API-Key", key)) == 200
    assert status(("X-API-Key", key), ("Authorization", f"Bearer {key}")) == 200
    assert status(("X-API-Key", key), ("Authorization", "Basic dTpw")) == 200
    assert status(("X-API-Key", key), ("Authorization", f"Bearer {other}")) == 401
    assert status(("X-API-Key", key), ("X-API-Key", other)) == 401
    assert status(("Authorization", key)) == 401
    assert status(("Authorization", f"Basic {key}")) == 401
    assert guest.get(f"/v1/models?key={key}&x-api-key={key}").status_code == 401


def test_what_is_no_key_is_refused_and_the_server_stays(
    guarded: Server, guest: httpx2.Client, keys: dict[AccessScope, str]
) -> None:
    key = keys["classify"].encode()
    wrong = key[:-1] + (b"0" if not key.endswith(b"0") else b"1")
    tokens = [
        b"", b"x", wrong, key[:-1], key + b"0", key.upper(), b"vf_", b"vf_%s_" % key[3:15],
        "schlüssel".encode(), b"\xff\xfe\x80", b"a.b.c", b"x" * 20_000, b"." * 15_000,
        key + b" " + key, key + b"," + key, b"' OR 1=1 --", b"%00", b"null", b"{}",
    ]  # fmt: skip
    for token in tokens:
        for header in (b"Authorization: Bearer ", b"X-API-Key: "):
            request = request_of(grey(0)).replace(
                b"Content-Type", header + token + b"\r\nConnection: close\r\nContent-Type", 1
            )
            answer = exchange(guarded.address, request)
            assert answer.startswith(b"HTTP/1.1 401"), (token[:50], answer[:200])
            assert token[:20] not in answer or len(token) < 10
    still = guest.post("/v1/classify", files={"file": grey(0)}, headers=_bearer(keys["classify"]))
    assert still.json()["class"] == "step-0"
    assert "Traceback" not in "\n".join(guarded.lines)


def test_a_refusal_comes_before_the_body(guarded: Server) -> None:
    head = (
        b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
        b"Content-Length: 5000000\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    answer = exchange(guarded.address, head)
    assert answer.startswith(b"HTTP/1.1 401")


def test_the_document_says_how_to_show_a_key(guest: httpx2.Client, client: httpx2.Client) -> None:
    document = guest.get("/openapi.json").json()
    assert set(document["components"]["securitySchemes"]) == {"bearer", "key"}
    paths = document["paths"]
    assert paths["/v1/classify"]["post"]["security"][0] == {"bearer": ["classify"]}
    assert paths["/v1/models"]["get"]["security"][1] == {"key": ["read"]}
    assert paths["/health"]["get"]["security"] == []
    assert "securitySchemes" not in client.get("/openapi.json").json()["components"]


def test_a_guarded_server_takes_any_host_and_changes_behind_a_proxy(
    guest: httpx2.Client, keys: dict[AccessScope, str]
) -> None:
    headers = {"Host": "models.example.org", "X-Forwarded-For": "192.0.2.1"}
    assert guest.get("/v1/models", headers=headers).status_code == 401
    headers |= _bearer(keys["manage"])
    assert guest.post("/v1/models/reload", headers=headers).status_code == 200


def test_keys_come_and_go_under_a_running_server_and_leave_no_secret(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    soon_over = _make(tmp_path, "short", "read", expires=datetime.now(UTC) + DAY)
    over = _make(tmp_path, "over", "read", expires=datetime.now(UTC) - DAY)
    with (
        serving(tmp_path, "--model", "fake", "--workers", "2", **GUARDED) as server,
        httpx2.Client(base_url=server.url, trust_env=False, timeout=60) as http,
    ):

        def status(token: str) -> set[int]:
            """Of both processes, most likely: each connection goes to either."""
            headers = _bearer(token) | {"Connection": "close"}
            return {http.get("/v1/models", headers=headers).status_code for _ in range(12)}

        eventually(lambda: status(soon_over) == {200})
        assert status(over) == {401}
        made = _make(tmp_path, "made", "read")
        eventually(lambda: status(made) == {200})
        _with_keys(tmp_path, lambda keys: keys.revoke("made", datetime.now(UTC)))
        eventually(lambda: status(made) == {401})
        assert status(soon_over) == {200}
        assert server.stop() == 0
        lines = "\n".join(server.lines)

    used = {key.name: key.last_used for key in _with_keys(tmp_path, ApiKeys.all)}
    assert used["short"] is not None
    assert used["made"] is not None
    assert used["over"] is None
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"short" in kept
    for token in (soon_over, over, made):
        assert token[16:].encode() not in kept
        assert token[16:] not in lines
    assert "Traceback" not in lines


def test_the_bootstrap_key_changes_with_its_file(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    path = tmp_path / "bootstrap"
    first, second = "first-" * 8, "second-" * 8
    path.write_text(first)
    given: dict[str, Any] = {**GUARDED, "AUTH__BOOTSTRAP_KEY_FILE": path}
    with serving(tmp_path, "--model", "fake", **given) as server:

        def status(token: str) -> int:
            answer = httpx2.post(
                f"{server.url}/v1/models/reload", headers=_bearer(token), trust_env=False
            )
            return answer.status_code

        assert status(first) == 200
        path.write_text(second)
        eventually(lambda: status(second) == 200)
        assert status(first) == 401
        lines = "\n".join(server.lines)
    assert first not in lines
    for file in tmp_path.glob("viewfinder.db*"):
        assert second.encode() not in file.read_bytes()


def test_a_providers_token_opens_a_server_and_keys_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fake_bundle(tmp_path / "models")
    with running_provider() as idp:
        given = {"AUTH__OIDC__ISSUER": idp.issuer, "AUTH__OIDC__AUDIENCE": AUDIENCE, **GUARDED}
        with serving(tmp_path, "--model", "fake", **given) as server:

            def ask(token: str) -> httpx2.Response:
                url = f"{server.url}/v1/models/reload"
                return httpx2.post(url, headers=_bearer(token), trust_env=False)

            assert ask(idp.token(scope="read manage")).status_code == 200
            assert ask(idp.token(scope="read")).status_code == 403
            refused = ask(idp.token(exp=1))
            assert (refused.status_code, refused.json()["detail"]) == (
                401,
                "The token has expired.",
            )
            assert ask("a.b.c").status_code == 401
            key = _make(tmp_path, "robot", "manage")
            eventually(lambda: ask(key).status_code == 200)
            assert server.stop() == 0
    assert "Traceback" not in "\n".join(server.lines)


def test_a_server_without_keys_loads_nothing_of_theirs(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with serving(tmp_path, "--model", "fake") as server:
        maps = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert "sqlalchemy" not in maps
        assert "greenlet" not in maps
        assert not (tmp_path / "viewfinder.db").exists()


def test_a_sticky_caller_is_told_by_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_bundle(tmp_path / "models")
    seen: list[str | None] = []
    really = ClassifyService.classify

    async def classify(service: ClassifyService, content: bytes, **options: Any) -> Prediction:
        seen.append(options["caller"])
        return await really(service, content, **options)

    monkeypatch.setattr(ClassifyService, "classify", classify)
    key = _make(tmp_path, "robot", "classify")
    for enabled in (False, True):
        settings = Settings(home=tmp_path, models=("fake",), auth=AuthSettings(enabled=enabled))
        with serving_here(settings) as server:
            files = {"file": grey(0)}
            url = f"{server.url}/v1/classify"
            assert httpx2.post(url, files=files, headers=_bearer(key), trust_env=False).is_success
    assert seen[0] is not None
    assert re.fullmatch(r"[0-9a-f]{32}", seen[0])
    assert seen[1] == f"key:{key[3:15]}"
