"""What stands in the head of a problem."""

import pytest

from viewfinder.api.errors import headers_of
from viewfinder.errors import (
    IdempotencyInProgressError,
    NotReadyError,
    OverloadedError,
    PayloadTooLargeError,
    RateLimitedError,
    RequestError,
    ServiceError,
)


@pytest.mark.parametrize(
    "error",
    [
        OverloadedError("full", retry_after_s=3),
        RateLimitedError("enough", retry_after_s=3),
        IdempotencyInProgressError("at work", retry_after_s=3),
        NotReadyError("away", retry_after_s=3),
    ],
    ids=lambda error: error.code,
)
def test_who_knows_when_to_ask_again_says_so(error: RequestError | ServiceError) -> None:
    assert headers_of(error) == {"Retry-After": "3"}


def test_who_does_not_know_says_nothing() -> None:
    assert headers_of(NotReadyError("broken")) == {}


def test_what_is_too_large_ends_the_connection() -> None:
    assert headers_of(PayloadTooLargeError("long")) == {"Connection": "close"}
