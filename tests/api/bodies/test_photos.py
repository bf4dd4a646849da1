"""Bodies, below HTTP."""

import math

import pytest
from starlette.requests import Request
from starlette.types import Message

from viewfinder.api.bodies.photos import read_photo
from viewfinder.api.schemas.classify import ClassifyOptions
from viewfinder.settings import MIB

BOUNDARY = "b"


def _request(body: bytes, kind: str) -> Request:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", kind.encode())]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def test_no_upload_touches_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    monkeypatch.setattr("tempfile.TemporaryFile", never)
    photo = b"\xff" * (9 * MIB)
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    request = _request(head + photo + b"\r\n--b--\r\n", f"multipart/form-data; boundary={BOUNDARY}")
    got, _ = await read_photo(request, ClassifyOptions())
    async with got.content(None, math.inf) as content:
        assert content == photo
