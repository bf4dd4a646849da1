"""What a body may be: its type and encoding, its size, and all bodies together."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewfinder.api.guards.head import content_length, header
from viewfinder.api.guards.paths import JOBS, MANY_PHOTOS, ONE_PHOTO
from viewfinder.api.guards.refusal import refuse
from viewfinder.errors import OverloadedError, PayloadTooLargeError, UnsupportedMediaTypeError
from viewfinder.settings import Limits

FORM = "multipart/form-data"
"""The type of a form with files."""

JSON = "application/json"
"""The type of a body with fields."""

_IMAGE = "image/"
_MOST_ELSEWHERE = 64 * 1024
_LONGEST_SHOWN = 100
# Of a form that goes on to the disk: two images on their way there, and one that comes, which is
# there twice for a moment. `viewfinder.jobs.intake` sees to the former.
_IMAGES_HELD = 4


class Bodies:
    """Refuses unread what no route takes, and ends the reading where a limit is.

    Args:
        app: What is guarded.
        limits: Of one body, by its kind, and of all that are held at a time.
        upload_bytes: Of the form of a job, which is never held as a whole.
    """

    def __init__(self, app: ASGIApp, limits: Limits, upload_bytes: int) -> None:
        self._app = app
        one = {_IMAGE: limits.image_bytes, FORM: limits.body_bytes, JSON: limits.body_bytes}
        # Parsing JSON holds the interpreter lock: forms are the way for large batches.
        many = {FORM: limits.batch_bytes, JSON: limits.body_bytes}
        job = {FORM: upload_bytes, JSON: limits.body_bytes}
        self._taken = {
            **dict.fromkeys(ONE_PHOTO, one),
            **dict.fromkeys(MANY_PHOTOS, many),
            JOBS: job,
        }
        self._together = limits.bodies_bytes
        self._most_of_upload = min(_IMAGES_HELD * limits.image_bytes, self._together)
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
        held = self._held_at_once(scope, limit)
        streams = held > 0
        if self._held + held > self._together:
            await refuse(_overloaded(), scope, receive, send)
            return
        self._held += held

        async def receive_within_limits() -> Message:
            nonlocal arrived, held
            if announced > limit:
                raise _too_large(limit)  # before the client is told to go on
            message = await receive()
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                if arrived + size > limit:
                    raise _too_large(limit)
                arrived += size
                if not streams:
                    if self._held + size > self._together:
                        raise _overloaded()
                    held += size
                    self._held += size
            return message

        try:
            await self._app(scope, receive_within_limits, send)
        finally:
            self._held -= held

    def _held_at_once(self, scope: Scope, limit: int) -> int:
        """What a body that goes on to the disk takes in memory; 0 for one that is held."""
        is_form = media_type(header(scope, b"content-type")) == FORM
        if scope["method"] != "POST" or scope["path"] != JOBS or not is_form:
            return 0
        return min(content_length(scope) or limit, self._most_of_upload)

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
                f"The content type {shown!r} is not taken: send {hint}, as {FORM}, or as {JSON}."
            )
        return limit


def media_type(content_type: str | None) -> str:
    """The type of a body, without its parameters; empty where there is none."""
    return (content_type or "").partition(";")[0].strip().lower()


def _overloaded() -> OverloadedError:
    return OverloadedError("Too many uploads are under way.", retry_after_s=1)


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The body is over the limit of {limit:,} bytes.")
