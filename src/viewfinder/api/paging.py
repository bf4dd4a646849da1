"""Where the next page begins, as a text that nobody need understand."""

import base64
import binascii

from viewfinder.errors import InvalidParameterError


def to_cursor(place: str) -> str:
    """The cursor of what comes after a place."""
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def from_cursor(cursor: str) -> str:
    """The place of a cursor; whether there is one like it, the caller knows.

    Raises:
        InvalidParameterError: It is no cursor.
    """
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError) as error:
        raise broken_cursor() from error


def broken_cursor() -> InvalidParameterError:
    """What to say of a cursor that this API has not made."""
    return InvalidParameterError("cursor: It is not the `next` of a page of this list.")
