"""Limits hold at the limit and one past it, as they are without any setting."""

import base64
import json
from collections.abc import Iterator

import pytest
from PIL import Image
from tests.robustness.test_multipart import KIND, form, part
from tests.robustness.wire import CHUNKED, Reply, chunked, converse, head, last, post
from tests.support import Server, encode, grey, photo

from viewfinder.settings import MIB

JPEG = photo("cat.jpg")  # what follows the image in its file is ignored
JSON = "Content-Type: application/json"
ONE, MANY = "/v1/classify?model=fake", "/v1/batch-classify?model=fake"
_PIECE = 256 * 1024

framed = pytest.mark.parametrize("known", [True, False], ids=["known length", "chunked"])


def padded(size: int) -> bytes:
    """A photo whose file has that many bytes."""
    return JPEG + bytes(size - len(JPEG))


def pieces(body: bytes) -> Iterator[bytes]:
    """A body in pieces."""
    return (body[place : place + _PIECE] for place in range(0, len(body), _PIECE))


def ask(server: Server, body: bytes, kind: str, path: str = ONE, *, known: bool = True) -> Reply:
    """Post a body, of known length or not, and something good after it."""
    if known:
        return converse(server.address, post(body, kind, path=path), last())
    return converse(server.address, head(kind, CHUNKED, path=path), chunked(*pieces(body)), last())


def filled(size: int, *parts: bytes) -> bytes:
    """A form of that many bytes: some parts, and others that nobody asks for."""
    empty = form(*parts, part(b"", name="other"))
    return form(*parts, part(bytes(size - len(empty)), name="other"))


@framed
def test_a_raw_body_may_have_10_mib(target: Server, known: bool) -> None:
    kind = "Content-Type: image/jpeg"
    assert ask(target, padded(10 * MIB), kind, known=known).codes == [None, None]
    assert ask(target, padded(10 * MIB + 1), kind, known=known).codes == ["payload_too_large"]


@framed
def test_an_image_in_a_form_may_have_10_mib(target: Server, known: bool) -> None:
    for size, code in ((10 * MIB, None), (10 * MIB + 1, "payload_too_large")):
        reply = ask(target, form(part(padded(size))), KIND, known=known)
        assert reply.codes[0] == code


def test_an_image_in_json_may_have_10_mib(target: Server) -> None:
    for size, code in ((10 * MIB, None), (10 * MIB + 1, "payload_too_large")):
        body = json.dumps({"image": base64.b64encode(padded(size)).decode()}).encode()
        assert ask(target, body, JSON).codes[0] == code


@framed
def test_a_form_of_one_image_may_have_15_mib(target: Server, known: bool) -> None:
    limit = 15 * MIB
    assert ask(target, filled(limit, part(JPEG)), KIND, known=known).codes == [None, None]
    over = ask(target, filled(limit + 1, part(JPEG)), KIND, known=known)
    assert over.codes == ["payload_too_large"]


@framed
@pytest.mark.parametrize("path", [ONE, MANY])
def test_a_json_body_may_have_15_mib(target: Server, known: bool, path: str) -> None:
    image = {"image": base64.b64encode(JPEG).decode()}
    body = json.dumps(image if path == ONE else {"images": [image]}).encode()
    body += b" " * (15 * MIB - len(body))
    assert ask(target, body, JSON, path, known=known).codes == [None, None]
    assert ask(target, body + b" ", JSON, path, known=known).codes == ["payload_too_large"]


@framed
def test_the_form_of_a_batch_may_have_64_mib(target: Server, known: bool) -> None:
    limit, parts = 64 * MIB, part(JPEG, name="files")
    assert ask(target, filled(limit, parts), KIND, MANY, known=known).codes == [None, None]
    over = ask(target, filled(limit + 1, parts), KIND, MANY, known=known)
    assert over.codes == ["payload_too_large"]


def test_an_image_of_a_batch_may_have_10_mib(target: Server) -> None:
    files = [part(padded(10 * MIB + extra), name="files") for extra in (0, 1)]
    (answer, _) = ask(target, form(*files), KIND, MANY).answers
    results = json.loads(answer.body)["results"]
    assert [one.get("error", {}).get("code") for one in results] == [None, "payload_too_large"]


def test_a_batch_may_have_64_images(target: Server) -> None:
    image = {"image": base64.b64encode(grey(0)).decode()}
    for count, code in ((64, None), (65, "invalid_parameter")):
        files = form(part(grey(0), name="files") * count)
        assert ask(target, files, KIND, MANY).codes == [code, None]
        body = json.dumps({"images": [image] * count}).encode()
        assert ask(target, body, JSON, MANY).codes == [code, None]


def _flat(kind: str, width: int, height: int) -> bytes:
    return encode(Image.new("L", (width, height)), kind)


@pytest.mark.parametrize(
    ("kind", "at_the_limit", "past_it"),
    [
        ("JPEG", (16_000, 3_125), (16_000, 3_126)),  # 50 megapixels
        ("PNG", (5_000, 5_000), (5_000, 5_001)),  # 25 megapixels
        ("GIF", (5_000, 5_000), (5_000, 5_001)),
        ("PNG", (16_384, 2), (16_385, 1)),  # the longer side
        ("PNG", (2, 16_384), (1, 16_385)),
        ("JPEG", (16_384, 2), (16_385, 1)),
        ("JPEG", (2, 16_384), (1, 16_385)),
    ],
)
def test_an_image_may_have_so_many_pixels(
    target: Server, kind: str, at_the_limit: tuple[int, int], past_it: tuple[int, int]
) -> None:
    raw = f"Content-Type: image/{kind.lower()}"
    assert ask(target, _flat(kind, *at_the_limit), raw).codes == [None, None]
    assert ask(target, _flat(kind, *past_it), raw).codes == ["image_too_large", None]
