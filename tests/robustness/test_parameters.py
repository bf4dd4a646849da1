"""Hostile parameters, row 40 of the list. Addresses are in tests/api, with the fetching of URLs."""

from urllib.parse import quote

import pytest
from tests.robustness.wire import converse, get, last, post
from tests.support import Server, grey

PHOTO = grey(7)
MODELS = [
    "../../etc",
    "..",
    "/etc/passwd",
    "fake/../fake",
    "fake\0",
    "fake@../1",
    "fake@fake@1",
    "FAKE",
    "fake ",
    ".",
    "@",
    "@1",
    "\u0661",
    "s3://bucket/x",
    "{0.__class__}",
    "%00",
    "n" * 2000,
]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["model", "model_id"])
def test_40_a_model_that_is_a_path_is_not_found(hostile: Server, model: str, name: str) -> None:
    path = f"/v1/classify?{name}={quote(model, safe='')}"
    reply = converse(hostile.address, post(PHOTO, path=path), last())
    assert reply.codes[0] in {"model_not_found", "version_not_found"}
    assert b".." not in reply.answers[0].body
    assert reply.codes[1:] == [None]


@pytest.mark.parametrize("model", MODELS)
def test_40_nor_is_it_found_as_an_address(hostile: Server, model: str) -> None:
    escaped = quote(model, safe="")
    for path in (f"/v1/models/{escaped}", f"/v1/models/{escaped}/versions/1", f"/v1/{escaped}"):
        reply = converse(hostile.address, get(path), last())
        assert reply.codes[0] in {"model_not_found", "version_not_found", "not_found"}


VERSIONS = ["0", "-1", "1.0", "1e3", "9" * 400, "\u0661", "+1", " 1", "0x1"]


@pytest.mark.parametrize("version", VERSIONS)
def test_40_a_version_that_is_no_number_is_not_found(hostile: Server, version: str) -> None:
    path = f"/v1/models/fake/versions/{quote(version, safe='')}"
    assert converse(hostile.address, get(path), last()).codes == ["version_not_found", None]
    path = f"/v1/classify?model=fake@{quote(version, safe='')}"
    assert converse(hostile.address, post(PHOTO, path=path), last()).codes[0] is not None


@pytest.mark.parametrize(
    "value",
    [
        "-1",
        "0",
        "101",
        "1e9",
        "NaN",
        "inf",
        "",
        " ",
        "1.5",
        "0x5",
        "9" * 5000,
        "\u0665",
        "5\0",
        "[]",
    ],
)
def test_40_a_top_k_out_of_range_is_invalid(hostile: Server, value: str) -> None:
    path = f"/v1/classify?top_k={quote(value, safe='')}"
    reply = converse(hostile.address, post(PHOTO, path=path), last())
    assert reply.codes == ["invalid_parameter", None]


def test_40_a_parameter_given_twice_has_one_meaning(hostile: Server) -> None:
    path = "/v1/classify?top_k=999&top_k=1"
    assert converse(hostile.address, post(PHOTO, path=path), last()).codes == [None, None]


@pytest.mark.parametrize(
    "query", ["&" * 5000, "=" * 5000, "%", "%zz", "a" * 20_000, "top_k", "?????"]
)
def test_40_a_query_that_is_none_does_no_harm(hostile: Server, query: str) -> None:
    reply = converse(hostile.address, post(PHOTO, path=f"/v1/classify?{query}"), last())
    assert reply.codes[0] in {None, "invalid_parameter"}
    assert reply.codes[1:] == [None]
