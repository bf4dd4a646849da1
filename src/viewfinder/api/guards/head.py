"""The head of a request, as the guards look at it.

Starlette's `Headers` decodes name after name at each look, which six guards would pay for.
"""

from starlette.types import Scope


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
