"""What a body may be: its type and encoding, its size, and all bodies together."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewfinder.api.guards.head import content_length, header
from viewfinder.api.guards.paths import MANY_PHOTOS, ONE_PHOTO
from viewfinder.api.guards.refusal import refuse
from viewfinder.errors import OverloadedError, PayloadTooLargeError, UnsupportedMediaTypeError
from viewfinder.settings import Limits

_FORM, _JSON, _IMAGE = "multipart/form-data", "application/json", "image/"
_MOST_ELSEWHERE = 64 * 1024
_LONGEST_SHOWN = 100


class Bodies:
    """Refuses unread what no route takes, and ends the reading where a limit is.

    Args:
        app: What is guarded.
        limits: Of one body, by its kind, and of all that are held at a time.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app = app
        one = {_IMAGE: limits.image_bytes, _FORM: limits.body_bytes, _JSON: limits.body_bytes}
        # Parsing JSON holds the interpreter lock: forms are the way for large batches.
        many = {_FORM: limits.batch_bytes, _JSON: limits.body_bytes}
        self._taken = dict.fromkeys(ONE_PHOTO, one) | dict.fromkeys(MANY_PHOTOS, many)
        self._together = limits.bodies_bytes
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or scope["method"] in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        try:
            limit = self._limit(scope)
        except UnsupportedMediaTypeError as error:
            await refuse(error, scope, receive, send)
            return
        arrived = 0
        announced = content_length(scope) or 0

        async def receive_within_limits() -> Message:
            nonlocal arrived
            if announced > limit:
                raise _too_large(limit)  # before the client is told to go on
            message = await receive()
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                if arrived + size > limit:
                    raise _too_large(limit)
                if self._held + size > self._together:
                    raise OverloadedError("Too many uploads are under way.", retry_after_s=1)
                arrived += size
                self._held += size
            return message

        try:
            await self._app(scope, receive_within_limits, send)
        finally:
            self._held -= arrived

    def _limit(self, scope: Scope) -> int:
        """The most bytes that this body may have.

        Raises:
            UnsupportedMediaTypeError: No route takes such a body.
        """
        if (header(scope, b"content-encoding") or "identity").lower() != "identity":
            raise UnsupportedMediaTypeError(
                "Send the body as it is: content encodings are not taken."
            )
        taken = self._taken.get(scope["path"]) if scope["method"] == "POST" else None
        if taken is None:
            return _MOST_ELSEWHERE
        kind = media_type(header(scope, b"content-type"))
        limit = taken.get(_IMAGE if kind.startswith(_IMAGE) else kind)
        if limit is None:
            shown = kind if kind.isprintable() and len(kind) <= _LONGEST_SHOWN else ""
            hint = "the image itself as image/*" if _IMAGE in taken else "the images as files"
            raise UnsupportedMediaTypeError(
                f"The content type {shown!r} is not taken: send {hint}, as {_FORM}, or as {_JSON}."
            )
        return limit


def media_type(content_type: str | None) -> str:
    """The type of a body, without its parameters; empty where there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body is over the limit of {limit:,} bytes.")
