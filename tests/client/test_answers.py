"""The shapes of answers, held against the server's own description of them."""

import json
from typing import Any

import pydantic
import pytest

from viewfinder.api.errors import CATALOG
from viewfinder.app import create_app
from viewfinder.client.answers.accuracy import LiveAccuracy
from viewfinder.client.answers.classify import Batch, Classification
from viewfinder.client.answers.health import Health, Readiness
from viewfinder.client.answers.jobs import Job, JobPage, JobResultPage
from viewfinder.client.answers.models import Labels, ModelInfo, Models, Routing, Version
from viewfinder.client.answers.results import Result, ResultPage
from viewfinder.client.problems import Problem, to_error
from viewfinder.errors import (
    InvalidImageError,
    OverloadedError,
    RequestError,
    ServiceError,
    UnauthenticatedError,
)
from viewfinder.settings import Settings

# By the name that the server gives them.
OURS: dict[str, type[pydantic.BaseModel]] = {
    "Classification": Classification,
    "BatchAnswer": Batch,
    "JobAnswer": Job,
    "JobList": JobPage,
    "JobResults": JobResultPage,
    "ModelList": Models,
    "ModelAnswer": ModelInfo,
    "VersionSummary": Version,
    "LabelList": Labels,
    "RoutingAnswer": Routing,
    "ResultAnswer": Result,
    "ResultPage": ResultPage,
    "LiveAccuracy": LiveAccuracy,
    "Health": Health,
    "Problem": Problem,
}
# What says the same in other words: how long a list may be, and what a field is for.
_WORDS = {"title", "description", "examples", "default", "minItems", "maxItems"}
_WORDS |= {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "const", "deprecated"}


@pytest.fixture(scope="module")
def theirs() -> dict[str, Any]:
    """The schemas of the server."""
    schemas: dict[str, Any] = create_app(Settings()).openapi()["components"]["schemas"]
    return schemas


def plain(schema: Any, known: dict[str, Any]) -> Any:
    """A schema with its references put in, and without what says nothing of its shape."""
    if isinstance(schema, list):
        found = [plain(one, known) for one in schema]
        return sorted(found, key=lambda one: json.dumps(one, sort_keys=True))
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return plain(known[schema["$ref"].rpartition("/")[2]], known)
    if schema.get("type") == "object" and "properties" in schema:
        return {name: plain(one, known) for name, one in schema["properties"].items()}
    return {name: plain(one, known) for name, one in schema.items() if name not in _WORDS}


@pytest.mark.parametrize("name", OURS)
def test_an_answer_has_the_fields_that_the_server_sends_and_their_types(
    name: str, theirs: dict[str, Any]
) -> None:
    ours = OURS[name].model_json_schema()
    read, sent = plain(ours, ours.get("$defs", {})), plain(theirs[name], theirs)
    if name == "Health":  # a client reads any word there
        sent["status"] = read["status"]
    assert read == sent


@pytest.mark.parametrize("name", OURS)
def test_what_is_required_is_always_sent(name: str, theirs: dict[str, Any]) -> None:
    def check(ours: Any, sent: Any, known: dict[str, Any]) -> None:
        if "$ref" in ours:
            ours = known[ours["$ref"].rpartition("/")[2]]
        if "$ref" in sent:
            sent = theirs[sent["$ref"].rpartition("/")[2]]
        for field in ours.get("required", []):
            # With a default that is always sent, the description does not call it required.
            assert field in sent.get("required", []) or "default" in sent["properties"][field]
        for field, one in ours.get("properties", {}).items():
            check(one, sent["properties"][field], known)
        for inner in ("items", "additionalProperties"):
            if isinstance(ours.get(inner), dict):
                check(ours[inner], sent[inner], known)
        for one, other in zip(ours.get("anyOf", []), sent.get("anyOf", []), strict=True):
            check(one, other, known)

    ours = OURS[name].model_json_schema()
    check(ours, theirs[name], ours.get("$defs", {}))


def test_readiness_has_what_the_server_sends_and_why_it_is_not(theirs: dict[str, Any]) -> None:
    sent = theirs["Readiness"]["properties"]
    assert Readiness.model_fields.keys() - sent.keys() == {"detail"}
    ready = Readiness.model_validate({"status": "degraded", "parts": {"store": "away"}})
    assert ready.can_answer
    assert not Readiness(status="not_ready").can_answer


def test_a_field_of_a_newer_server_is_left_out() -> None:
    health = Health.model_validate_json('{"status": "ok", "version": "9", "mood": 1}')
    assert health == Health(status="ok", version="9")


def test_an_answer_cannot_be_changed() -> None:
    health, field = Health(status="ok", version="1"), "version"
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        setattr(health, field, "2")


@pytest.mark.parametrize("code", CATALOG)
def test_every_code_of_the_catalogue_becomes_an_exception(code: str) -> None:
    status, _ = CATALOG[code]
    error = to_error(Problem(status=status, code=code, detail="D.", request_id="r"), 7)
    assert (error.code, error.detail, str(error)) == (code, "D.", "D.")
    assert (error.status, error.request_id, error.retry_after_s) == (status, "r", 7)
    assert isinstance(error, ServiceError if status >= 500 else RequestError)
    if code not in {"not_found", "method_not_allowed", "internal_error"}:
        assert type(error).code == code


def test_it_is_the_class_that_has_the_code() -> None:
    made = {
        code: type(to_error(Problem(status=status, code=code, detail="")))
        for code, (status, _) in CATALOG.items()
    }
    assert made["invalid_image"] is InvalidImageError
    assert made["unauthenticated"] is UnauthenticatedError
    assert made["overloaded"] is OverloadedError
    assert made["not_found"] is RequestError
    assert made["internal_error"] is ServiceError


def test_a_code_of_a_newer_server_is_of_the_nearest_kind() -> None:
    assert type(to_error(Problem(status=418, code="teapot", detail="Short."))) is RequestError
    newer = to_error(Problem(status=507, code="no_room", detail="Stout."))
    assert type(newer) is ServiceError
    assert (newer.code, ServiceError.code) == ("no_room", "internal_error")
