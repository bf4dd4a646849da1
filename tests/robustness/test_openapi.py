"""The OpenAPI document and the server agree: requests are made from the document.

A few examples of each operation; TESTS_FULL=1 asks for many.
"""

from http import HTTPStatus
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CheckContext, CheckFunction
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.robustness.wire import check_problem
from tests.support import Server, grey, in_full, photo

_SUCCESS = {HTTPStatus.OK, HTTPStatus.ACCEPTED}
Case = schemathesis.Case[Any]
POSITIVE, NEGATIVE = schemathesis.GenerationMode
_EXAMPLES = in_full(12, 1000)


@pytest.fixture(scope="session")
def document(changed: Server) -> schemathesis.BaseSchema:
    """What the server says of itself."""
    return schemathesis.openapi.from_url(f"{changed.url}/openapi.json")


def _is_a_whole_problem(_: CheckContext, response: Response, case: Case) -> None:
    """What is no success is a problem that leaks nothing, and no 5xx but 503 and 504."""
    if response.status_code not in _SUCCESS and case.method != "HEAD":
        headers = {name: ", ".join(values) for name, values in response.headers.items()}
        check_problem(response.status_code, headers, response.content)


CHECKS: list[CheckFunction] = [
    _is_a_whole_problem,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]

# Bytes that are an image now and then: noise alone would never see an answer.
_FILES = st.one_of(st.sampled_from([grey(0), grey(255), photo("cat.jpg")]), st.binary())
schemathesis.openapi.format("binary", _FILES)
schemathesis.openapi.media_type("image/*", _FILES)


def test_every_answer_is_as_documented(
    document: schemathesis.BaseSchema, changing: Server, subtests: pytest.Subtests
) -> None:
    for found in document.get_all_operations():
        assert isinstance(found, Ok), found.err()
        operation = found.ok()
        with subtests.test(operation.label):
            _ask(operation.as_strategy(generation_mode=POSITIVE), changing.url)
        # Where there is neither, no request can be wrong: any text may stand in an address.
        if operation.body or operation.query:
            with subtests.test(f"wrong {operation.label}"):
                _ask(operation.as_strategy(generation_mode=NEGATIVE), changing.url)


def _ask(cases: st.SearchStrategy[Case], url: str) -> None:
    @settings(
        max_examples=_EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Case) -> None:
        case.call_and_validate(base_url=url, checks=CHECKS)

    ask()
