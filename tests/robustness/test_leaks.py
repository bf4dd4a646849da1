"""Whatever is sent, no answer gives away how the server is made.

A few hundred requests, each put together by chance from a fixed seed; TESTS_FULL=1 sends thousands.
"""

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pytest
from tests.robustness.leaks import check_no_leak
from tests.robustness.wire import converse
from tests.support import Server, grey, in_full

_REQUESTS = in_full(400, 5000)

METHODS = ["GET", "POST", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"]
PATHS = [
    "/v1/classify",
    "/classify",
    "/v1/batch-classify",
    "/v1/models",
    "/v1/models/fake",
    "/v1/models/fake/labels",
    "/v1/models/fake/versions/1",
    "/v1/models/fake/versions/1/labels",
    "/v1/models/fake/versions/1/unload",
    "/v1/models/fake/aliases/stable",
    "/v1/models/fake/traffic",
    "/v1/models/fake/rollback",
    "/v1/models/broken",
    "/v1/models/broken/versions/1/load",
    "/v1/models/halfway",
    "/v1/models/reload",
    "/health",
    "/health/ready",
    "/openapi.json",
    "/docs",
    "/static/css/base.css",
    "/static/../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/routes",
    "/",
    "//",
    "/%00",
    "*",
]
WORDS = [
    "fake",
    "fake@1",
    "broken",
    "halfway@1",
    "../..",
    "/etc/passwd",
    "-1",
    "1e400",
    "NaN",
    "null",
    "true",
    "",
    "%00",
    "%ff%fe",
    "{0}",
    "${x}",
    "%s%n",
    "\u202e\u00e9",
    "'\"<>",
    "9" * 400,
    "x" * 2000,
]
NAMES = ["model", "model_id", "top_k", "min_confidence", "explain", "version", "unknown"]
HEADERS = [
    "Content-Encoding",
    "X-Request-Timeout-Ms",
    "X-Request-ID",
    "X-API-Key",
    "Authorization",
    "Origin",
    "Range",
    "Accept",
    "If-None-Match",
    "X-HTTP-Method-Override",
    "X-Forwarded-For",
    "Idempotency-Key",
    "Expect",
    "Cookie",
]
VALUES = [*WORDS, "gzip", "100-continue"]
KINDS = [
    "image/png",
    "image/x-none",
    "application/json",
    "application/json",
    "multipart/form-data; boundary=b",
    "multipart/form-data; boundary=b",
    "multipart/form-data",
    "application/x-www-form-urlencoded",
    "text/plain",
    "",
]
_PART = b'--b\r\nContent-Disposition: form-data; name="%b"; filename="x"\r\n\r\n%b\r\n'
BODIES = [
    b"",
    grey(1),
    grey(1)[:60],
    b"BM" + bytes(12) + bytes([40, 0, 0, 0]) * 9,
    b"RIFF\x10\0\0\0WEBPVP8 \x04\0\0\0abcd",
    b"GIF89a" + bytes(range(64)),
    b"\xff\xd8\xff\xe0" + bytes(range(200)),
    b"{",
    b"{}",
    b'{"image": "AAAA"}',
    b'{"image": 5, "top_k": {}}',
    b'{"images": [1, null, {"image": "!"}, {"url": "http://127.0.0.1/"}]}',
    b'{"version": 99}',
    b'{"version": "1"}',
    b'{"split": [{"version": 1, "percent": 101}]}',
    b'{"split": [], "shadow": -1, "more": 1}',
    b'{"url": "file:///etc/passwd"}',
    b"[" * 3000,
    b"\xff\xfe",
    _PART % (b"file", grey(1)) + b"--b--\r\n",
    _PART % (b"files", b"no image") * 3 + b"--b--\r\n",
    _PART % (b"top_k", b"\xff") + b"--b--\r\n",
    _PART % (b"\xff\xfe", b"") + b"--b",
]


Choice = TypeVar("Choice")


class Chance:
    """Chooses, from a seed."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)

    def below(self, end: int) -> int:
        """A number from 0 on."""
        return int(self._generator.integers(end))

    def choice(self, options: Sequence[Choice]) -> Choice:
        """One of them."""
        return options[self.below(len(options))]

    def one_in(self, count: int) -> bool:
        """True now and then."""
        return self.below(count) == 0

    def spoil(self, data: bytes, times: int) -> bytes:
        """The data with a few bytes changed."""
        spoilt = bytearray(data)
        for _ in range(times if data else 0):
            spoilt[self.below(len(spoilt))] = self.below(256)
        return bytes(spoilt)


def _request(chance: Chance) -> bytes:
    path = chance.choice(PATHS)
    if chance.one_in(5):
        path += f"/{chance.choice(WORDS)}"
    if chance.one_in(2):
        path += f"?{chance.choice(NAMES)}={chance.choice(WORDS)}"
    body = chance.spoil(chance.choice(BODIES), chance.choice([0, 0, 1, 8]))
    lines = [f"{chance.choice(METHODS)} {path} HTTP/1.1", "Host: localhost"]
    lines += [
        f"{chance.choice(HEADERS)}: {chance.choice(VALUES)}"
        for _ in range(chance.choice([0, 0, 1, 3]))
    ]
    if kind := chance.choice(KINDS):
        lines.append(f"Content-Type: {kind}")
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    raw = "\r\n".join(lines).encode()
    return chance.spoil(raw, 1 if chance.one_in(10) else 0) + body


def test_no_answer_to_noise_leaks(changing: Server) -> None:
    chance, seen = Chance(1), Counter[str | None]()
    for _ in range(_REQUESTS):
        # What is no success is looked at as it is read.
        seen.update(converse(changing.address, _request(chance)).codes)
    assert {None, "malformed_request", "not_found", "invalid_parameter"} <= seen.keys()
    assert seen.total() > 0.9 * _REQUESTS


@pytest.mark.parametrize(
    "leak",
    [
        'File "/srv/app/src/viewfinder/app.py", line 3, in run',
        "cannot open /usr/lib/python3/site-packages/x",
        "ValueError: x",
        "<bytes object at 0x7f5a>",
        "see viewfinder.errors",
        "pydantic says no",
        "[Errno 2] No such file",
        "Traceback (most recent call last)",
        "the model is None",
        "b'abc' is not it",
    ],
)
def test_a_leak_is_seen(leak: str) -> None:
    with pytest.raises(pytest.fail.Exception):
        check_no_leak(leak)


def test_what_the_server_says_is_no_leak() -> None:
    check_no_leak("The image is not JPEG, PNG, WebP, HEIC, GIF or BMP. urn:viewfinder:error:x")
