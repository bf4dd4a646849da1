"""What nobody foresaw becomes a plain 500 that leaks nothing, and the log has the rest."""

import logging
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from tests.support import fake_bundle, grey

from viewfinder.api.guards.context import RequestContext
from viewfinder.app import create_app
from viewfinder.settings import Settings

PRIVATE = "/root/private/path"


async def _ask(raises_after_start: bool) -> list[Message]:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if raises_after_start:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError(PRIVATE)

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": {}}
    await RequestContext(app)(scope, receive, send)
    return sent


async def test_an_unforeseen_error_leaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        start, body = await _ask(raises_after_start=False)
    assert start["status"] == 500
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/problem+json"
    assert b"internal_error" in body["body"]
    assert headers[b"x-request-id"] in body["body"]
    assert PRIVATE.encode() not in body["body"]
    assert PRIVATE in caplog.text
    assert headers[b"x-request-id"].decode() in caplog.text


async def test_once_the_answer_has_begun_the_connection_must_be_cut() -> None:
    with pytest.raises(RuntimeError):
        await _ask(raises_after_start=True)


async def _explode(content: bytes, **_: object) -> None:
    raise RuntimeError(PRIVATE if content == grey(1) else "another")


def test_an_unforeseen_error_of_one_image_fails_that_image_alone(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fake_bundle(store)
    app = create_app(Settings(model_store=store, default_model="fake"))
    with TestClient(app, base_url="http://localhost") as client:
        service = app.state.services.classify
        answer_really = service.classify

        async def classify(content: bytes, **options: Any) -> Any:
            ask = _explode if content == grey(1) else answer_really
            return await ask(content, **options)

        service.classify = classify
        files = [("files", grey(brightness)) for brightness in (0, 1, 255)]
        answer = client.post("/v1/batch-classify", files=files)
    codes = [item.get("error", {}).get("code") for item in answer.json()["results"]]
    assert codes == [None, "internal_error", None]
    assert PRIVATE not in answer.text
    assert PRIVATE in caplog.text
    assert answer.headers["x-request-id"] in caplog.text
