"""What a UUIDv7 says of itself: when it was made (RFC 9562, section 5.7)."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_TIME_DIGITS = 12


def moment_of(identifier: str) -> datetime:
    """When a UUIDv7 was made, to a millisecond, UTC.

    Raises:
        ValueError: It is none.
    """
    digits = identifier.replace("-", "")[:_TIME_DIGITS]
    return _EPOCH + int(digits, 16) * _MILLISECOND


def first_id(moment: datetime) -> str:
    """How every UUIDv7 begins, or above which it is, that was made at a moment or later.

    Every one that was made earlier, as far as a millisecond tells, is under it.
    """
    digits = f"{max(0, -((_EPOCH - moment) // _MILLISECOND)):012x}"
    return f"{digits[:8]}-{digits[8:]}"
