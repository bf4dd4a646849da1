"""A file is refused for its length before anybody looks into it."""

import pytest

from viewfinder.errors import MalformedRequestError, PayloadTooLargeError
from viewfinder.imaging.length import check_length


def test_as_many_bytes_as_the_limit_are_not_too_many() -> None:
    check_length(b"x" * 1000, 1000)


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(MalformedRequestError, match=r"The image is empty\."):
        check_length(b"", 1000)
    with pytest.raises(PayloadTooLargeError, match="over the limit of 1,000 bytes"):
        check_length(b"x" * 1001, 1000)
