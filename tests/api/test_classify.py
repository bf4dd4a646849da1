"""`POST /v1/classify` on the real server, with real photos."""

import base64
import re
from typing import Any
from uuid import UUID

import httpx2
import pytest
from tests.support import EXPECTED, empty_png, grey, photo

JPEG = {"Content-Type": "image/jpeg"}


def _problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The answer's body, once it is found to be that problem."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["type"] == f"urn:viewfinder:error:{code}"
    assert body["detail"] == body["error"]
    assert body["title"]
    assert body["request_id"] == answer.headers["x-request-id"]
    return body


@pytest.mark.parametrize("path", ["/v1/classify", "/classify"])
@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_photo_in_a_real_label_out(client: httpx2.Client, path: str, name: str) -> None:
    answer = client.post(path, files={"file": (name, photo(name), "image/jpeg")})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["class"] in EXPECTED[name]
    assert body["classes"][0]["class"] == body["class"]
    assert body["classes"][0]["confidence"] == body["confidence"]
    assert body["model"] == {"name": "efficientnet-lite0", "version": 1, "variant": "int8"}
    assert body["abstained"] is False
    assert isinstance(body["cached"], bool)
    assert UUID(body["id"]).version == 7
    assert set(body["timing_ms"]) == {"decode", "queue", "infer", "total"}


def test_form_raw_and_base64_get_the_same_answer(client: httpx2.Client) -> None:
    data = photo("cat.jpg")
    text = base64.b64encode(data).decode()
    answers = [
        client.post("/v1/classify", files={"file": data}),
        client.post("/v1/classify", content=data, headers=JPEG),
        client.post("/v1/classify", json={"image": text}),
        client.post("/v1/classify", json={"image": f"data:image/jpeg;base64,{text}"}),
    ]
    classes = [answer.json()["classes"] for answer in answers]
    assert all(other == classes[0] for other in classes)


def test_the_content_type_of_a_raw_image_need_not_be_right(client: httpx2.Client) -> None:
    headers = {"Content-Type": "image/png"}
    answer = client.post("/v1/classify", content=photo("espresso.jpg"), headers=headers)
    assert answer.json()["class"] == "espresso"


def test_confidences_are_unrounded_fractions_best_first(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify?top_k=100", content=photo("cat.jpg"), headers=JPEG)
    confidences = [score["confidence"] for score in answer.json()["classes"]]
    assert len(confidences) == 100
    assert confidences == sorted(confidences, reverse=True)
    assert sum(confidences) <= 1
    assert len(str(confidences[0])) > 8


@pytest.mark.parametrize("as_field", [True, False])
def test_options_as_query_or_as_fields(client: httpx2.Client, as_field: bool) -> None:
    options = {"model": "fake@1", "top_k": "2", "min_confidence": "0.5"}
    answer = client.post(
        "/v1/classify",
        files={"file": grey(255)},
        data=options if as_field else {},
        params={} if as_field else options,
    )
    body = answer.json()
    assert body["model"]["name"] == "fake"
    assert body["class"] == "step-15"
    assert len(body["classes"]) == 1


def test_what_the_query_says_counts(client: httpx2.Client) -> None:
    body = {"image": base64.b64encode(grey(0)).decode(), "model": "fake", "top_k": 2}
    answer = client.post("/v1/classify?top_k=3", json=body)
    assert len(answer.json()["classes"]) == 3


@pytest.mark.parametrize("fields", [{}, {"model": "nope"}, {"model_id": "nope"}])
def test_model_id_is_a_synonym(client: httpx2.Client, fields: dict[str, str]) -> None:
    answer = client.post("/v1/classify?model_id=fake", files={"file": grey(0)}, data=fields)
    assert answer.json()["model"]["name"] == "fake"


@pytest.mark.parametrize(("model", "version"), [("fake", 2), ("fake@1", 1), ("fake@latest", 2)])
def test_a_model_is_asked_for_by_name_version_or_alias(
    client: httpx2.Client, model: str, version: int
) -> None:
    answer = client.post("/v1/classify", params={"model": model}, files={"file": grey(0)})
    assert answer.json()["model"]["version"] == version


def test_server_timing_and_request_id_are_in_the_headers(client: httpx2.Client) -> None:
    headers = JPEG | {"X-Request-ID": "mine-42"}
    answer = client.post("/v1/classify", content=photo("cat.jpg"), headers=headers)
    assert answer.headers["x-request-id"] == "mine-42"
    timing = answer.headers["server-timing"]
    assert re.fullmatch(
        r"decode;dur=[\d.]+, queue;dur=[\d.]+, infer;dur=[\d.]+, total;dur=[\d.]+", timing
    )


def test_a_request_id_that_is_not_one_is_replaced(client: httpx2.Client) -> None:
    answer = client.get("/health", headers={"X-Request-ID": "not ok <script>"})
    assert UUID(answer.headers["x-request-id"]).version == 7


# Bad input: each gets its documented status and code, and the server goes on.


def test_not_an_image(client: httpx2.Client) -> None:
    _problem(client.post("/v1/classify", files={"file": b"hello"}), 415, "unsupported_media_type")


def test_a_truncated_image(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify", files={"file": photo("cat.jpg")[:9000]})
    _problem(answer, 422, "invalid_image")


def test_a_png_that_declares_50_000_by_50_000(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify", files={"file": empty_png(50_000, 50_000)})
    body = _problem(answer, 422, "image_too_large")
    assert "limit" in body["detail"]


@pytest.mark.parametrize("model", ["nope", "../../etc", "fake@", "a b", "x" * 300])
def test_an_unknown_model(client: httpx2.Client, model: str) -> None:
    answer = client.post("/v1/classify", params={"model": model}, files={"file": grey(0)})
    assert ".." not in _problem(answer, 404, "model_not_found")["detail"]


@pytest.mark.parametrize("model", ["fake@9", "fake@stable"])
def test_an_unknown_version(client: httpx2.Client, model: str) -> None:
    answer = client.post("/v1/classify", params={"model": model}, files={"file": grey(0)})
    _problem(answer, 404, "version_not_found")


def test_a_broken_model(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify?model=broken", files={"file": grey(0)})
    _problem(answer, 503, "not_ready")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", "-1"),
        ("top_k", "0"),
        ("top_k", "101"),
        ("top_k", "1e9"),
        ("top_k", "NaN"),
        ("min_confidence", "-0.1"),
        ("min_confidence", "1.1"),
        ("min_confidence", "nan"),
        ("explain", "everything"),
    ],
)
def test_a_parameter_out_of_range(client: httpx2.Client, name: str, value: str) -> None:
    for params, fields in (({name: value}, {}), ({}, {name: value})):
        answer = client.post("/v1/classify", files={"file": grey(0)}, params=params, data=fields)
        body = _problem(answer, 422, "invalid_parameter")
        assert body["errors"][0]["field"] == name
        assert body["errors"][0]["message"]


@pytest.mark.parametrize("value", [-1, 1.5, "many", None, [], {}])
def test_a_json_field_out_of_range(client: httpx2.Client, value: object) -> None:
    body = {"image": base64.b64encode(grey(0)).decode(), "top_k": value}
    answer = client.post("/v1/classify", json=body)
    assert _problem(answer, 422, "invalid_parameter")["errors"][0]["field"] == "top_k"


def test_an_empty_file(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify", files={"file": b""})
    _problem(answer, 400, "malformed_request")


def test_a_missing_field(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify", files={"photo": grey(0)})
    assert "'file'" in _problem(answer, 400, "malformed_request")["detail"]


def test_a_field_that_is_not_a_file(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify", files={"file": (None, "text")})
    assert "filename" in _problem(answer, 400, "malformed_request")["detail"]


def _part(name: str, content: bytes, *, file: bool) -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"'
    head += '; filename="x"' if file else ""
    return head.encode() + b"\r\n\r\n" + content + b"\r\n"


@pytest.mark.parametrize("charset", ["punycode", "undefined", "idna", "utf-7", "x" * 300])
def test_a_form_cannot_choose_its_codec(client: httpx2.Client, charset: str) -> None:
    body = _part("file", grey(0), file=True) + _part("xn--a", b"a" * 200_000, file=False) + b"--b--"
    headers = {"Content-Type": f"multipart/form-data; charset={charset}; boundary=b"}
    answer = client.post("/v1/classify?model=fake", content=body, headers=headers)
    assert answer.json()["class"] == "step-0"


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"image": NaN}', b"[" * 5000])
def test_json_that_is_broken(client: httpx2.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    _problem(client.post("/v1/classify", content=body, headers=headers), 400, "malformed_request")


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"1", b"null"])
def test_json_that_is_no_object(client: httpx2.Client, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/classify", content=body, headers=headers)
    assert "Body" not in _problem(answer, 422, "invalid_parameter")["detail"]


@pytest.mark.parametrize("body", [{}, {"image": "x", "url": "http://x"}, {"image": "***"}])
def test_json_without_one_good_image(client: httpx2.Client, body: object) -> None:
    _problem(client.post("/v1/classify", json=body), 400, "malformed_request")


def test_an_image_by_url_is_refused(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify", json={"url": "http://169.254.169.254/"})
    _problem(answer, 403, "url_fetch_disabled")


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "application/octet-stream"]
)
def test_a_content_type_that_is_not_taken(client: httpx2.Client, kind: str) -> None:
    answer = client.post("/v1/classify", content=photo("cat.jpg"), headers={"Content-Type": kind})
    _problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("value", ["0", "-1", "soon", "1.5", "9" * 400])
def test_a_deadline_that_makes_no_sense(client: httpx2.Client, value: str) -> None:
    headers = JPEG | {"X-Request-Timeout-Ms": value}
    answer = client.post("/v1/classify", content=photo("cat.jpg"), headers=headers)
    _problem(answer, 422, "invalid_parameter")


def test_the_wrong_method(client: httpx2.Client) -> None:
    answer = client.get("/v1/classify")
    _problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_the_wrong_address(client: httpx2.Client) -> None:
    _problem(client.post("/v1/classifi", content=b""), 404, "not_found")
    _problem(client.post("/v1/classify/", content=b""), 404, "not_found")


def test_after_all_this_the_server_goes_on(client: httpx2.Client) -> None:
    answer = client.post("/v1/classify", files={"file": photo("espresso.jpg")})
    assert answer.json()["class"] == "espresso"
    assert client.get("/health/ready").json()["status"] == "ready"
