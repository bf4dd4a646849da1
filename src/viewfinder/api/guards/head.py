"""The head of a request, as the guards look at it.

Starlette's `Headers` decodes name after name at each look, which six guards would pay for.
"""

from starlette.types import Scope

_MOST_DIGITS = 18


def header(scope: Scope, name: bytes) -> str | None:
    """The first value of a header, if it is there.

    Args:
        scope: Of the request.
        name: In small letters, as every ASGI server writes it.
    """
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


def content_length(scope: Scope) -> int | None:
    """The length that a body announces, if it does; no longer number than 18 digits hold."""
    announced = header(scope, b"content-length") or ""
    if not announced.isdecimal():
        return None
    # Zeros may come in thousands, and Python refuses to read so many digits.
    return int(announced.lstrip("0")[:_MOST_DIGITS] or "0")
