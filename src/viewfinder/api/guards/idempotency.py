"""`Idempotency-Key`: a request that is sent again is not carried out again."""

import hashlib
import json
import math
import re
from collections.abc import Sequence

from python_multipart.multipart import parse_options_header
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from viewfinder.api.guards.head import header
from viewfinder.api.guards.paths import PHOTOS
from viewfinder.api.guards.refusal import refuse
from viewfinder.api.services import principal_of, services_of
from viewfinder.errors import (
    IdempotencyInProgressError,
    IdempotencyKeyReusedError,
    InvalidParameterError,
    RequestError,
    ServiceError,
)
from viewfinder.idempotency.store import LONGEST_ANSWER, AnswerStore, Asked, Claim, Kept

HEADER = "Idempotency-Key"
LONGEST_KEY = 255
_KEY = re.compile(rb"[\x21-\x7e]{1,%d}" % LONGEST_KEY)
_RETRY_S = 1
_SUCCESS = range(200, 300)

_PASSING = "idempotency_passing"

_ROLLBACK = re.compile(r"/v1/models/[^/]+/rollback")
# What an answer says for good; the rest is about one exchange.
_LASTING = {b"content-type", b"location"}


def takes_key(method: str, path: str) -> bool:
    """Whether a request there may carry a key: a second one would cost, or change, something."""
    return method == "POST" and (path in PHOTOS or _ROLLBACK.fullmatch(path) is not None)


def read_key(scope: Scope) -> str | None:
    """The key of a request that looks after it itself, as jobs do; None if there is none.

    Raises:
        InvalidParameterError: It has another form, or there are several.
    """
    given = _given(scope)
    return _only(given) if given else None


def let_pass(scope: Scope) -> None:
    """Say of a request's answer that it tells of the server's troubles, and is not to be kept."""
    scope["state"][_PASSING] = True


class Idempotency:
    """Carries a request with a key out once, and repeats its answer.

    The first one with a key goes on to the route, which reads the body under its own limits while
    its digest is taken in passing. Others are told to wait until it is answered; of their bodies
    nothing is read before, and afterwards no more than the first one had. Where the route takes no
    body, whatever comes is read before the claim: it cannot break off once there is a change.
    Answers with 2xx are kept. What was refused, or broke off, changed nothing, and its key is free
    again.

    See draft-ietf-httpapi-idempotency-key-header-07.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] != "http" or not takes_key(scope["method"], scope["path"]):
            await self._app(scope, receive, send)
            return
        given = _given(scope)
        if not given:
            await self._app(scope, receive, send)
            return
        answers = services_of(scope).idempotency
        body = _Body(scope, receive)
        try:
            name = _name(scope, given)
            if scope["path"] not in PHOTOS:
                await body.read()
            found = await _ask(answers, name, body)
        except (RequestError, ServiceError) as error:
            await refuse(error, scope, receive, send)
        else:
            if isinstance(found, Kept):
                await _repeat(found, send)
            else:
                execution = _Execution(answers, found, scope, body, send)
                await execution.run(self._app)


async def _ask(store: AnswerStore, name: str, body: "_Body") -> Claim | Kept:
    """The right to carry the request out, or its answer.

    Raises:
        IdempotencyInProgressError: Somebody is at it.
        IdempotencyKeyReusedError: There is an answer, to another request.
        NotReadyError: Nobody can say.
    """
    found = await store.claim(name)
    if found is None:
        raise IdempotencyInProgressError(
            "A request with this Idempotency-Key is being worked on; ask again for its answer.",
            retry_after_s=_RETRY_S,
        )
    if isinstance(found, Kept):
        await body.read(at_most=found.asked.length)
        if body.asked() != found.asked:
            raise IdempotencyKeyReusedError(
                "This Idempotency-Key came with another query or body before; a new request "
                "needs a new key."
            )
    return found


def _given(scope: Scope) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"idempotency-key"]


def _name(scope: Scope, given: Sequence[bytes]) -> str:
    """The name under which an answer is kept: nobody finds that of another key's owner.

    Without keys for the API there are no owners, and who knows a key knows a secret.

    Raises:
        InvalidParameterError: The key is none.
    """
    key = _only(given)
    principal = principal_of(scope)
    owner = None if principal is None else principal.id
    parts = [owner, scope["method"], scope["path"], key]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _only(given: Sequence[bytes]) -> str:
    if len(given) != 1 or not _KEY.fullmatch(given[0]):
        raise InvalidParameterError(
            f"{HEADER} must be given once, as 1 to {LONGEST_KEY} visible ASCII characters."
        )
    return given[0].decode("ascii")


async def _repeat(kept: Kept, send: Send) -> None:
    headers = MutableHeaders(
        {
            **dict(kept.headers),
            "Content-Length": str(len(kept.body)),
            "Idempotency-Replayed": "true",
        }
    )
    await send({"type": "http.response.start", "status": kept.status, "headers": headers.raw})
    await send({"type": "http.response.body", "body": kept.body})


class _Body:
    """A request's body, whose digest is taken while somebody reads it.

    The boundary of a form is not part of it: a client that sends the same form again makes a new
    one.
    """

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        kind, options = parse_options_header(header(scope, b"content-type"))
        self._boundary = options.get(b"boundary", b"")
        self._tail = b""
        self._sha256 = hashlib.sha256(scope["query_string"] + b"\n" + kind + b"\n")
        self._length = 0
        self.ended = False

    async def receive(self) -> Message:
        """The next message, as ASGI has it."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._take(message.get("body", b""))
            self.ended = not message.get("more_body", False)
        return message

    async def read(self, *, at_most: float = math.inf) -> None:
        """Read what has not been read, and forget it; stop after that many bytes in all.

        Raises:
            ClientDisconnect: The client has gone.
            PayloadTooLargeError: It is over the limit of `Bodies`.
            OverloadedError: So are all bodies together.
        """
        while not self.ended and self._length <= at_most:
            if (await self.receive())["type"] == "http.disconnect":
                raise ClientDisconnect

    def asked(self) -> Asked:
        """What was asked, by what has been read."""
        sha256 = self._sha256.copy()
        sha256.update(self._tail)
        return Asked(sha256.hexdigest(), self._length + len(self._tail))

    def _take(self, chunk: bytes) -> None:
        if self._boundary:
            # A line break in its place, which no boundary holds: where it stood, no other appears.
            chunk = (self._tail + chunk).replace(self._boundary, b"\n")
            whole = max(0, len(chunk) - len(self._boundary) + 1)
            chunk, self._tail = chunk[:whole], chunk[whole:]
        self._sha256.update(chunk)
        self._length += len(chunk)


class _Execution:
    """Carries out one request that was claimed, and sees to it that the claim ends."""

    def __init__(
        self, store: AnswerStore, claim: Claim, scope: Scope, body: _Body, send: Send
    ) -> None:
        self._store = store
        self._claim = claim
        self._scope = scope
        self._body = body
        self._forward = send
        self._start: Message = {}
        self._answer = bytearray()
        self._settled = False

    async def run(self, app: ASGIApp) -> None:
        """Let the route answer."""
        try:
            await app(self._scope, self._body.receive, self._send)
        finally:
            if not self._settled:
                await self._store.free(self._claim)

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        elif message["type"] == "http.response.body":
            if len(self._answer) <= LONGEST_ANSWER:
                self._answer += message.get("body", b"")
            if not message.get("more_body", False):
                # Before the client has it all: whoever has an answer can ask for it again.
                await self._settle()
        await self._forward(message)

    async def _settle(self) -> None:
        if self._is_worth_keeping():
            headers = tuple(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in self._start["headers"]
                if name in _LASTING
            )
            body = bytes(self._answer)
            kept = Kept(self._body.asked(), self._start["status"], headers, body)
            await self._store.keep(self._claim, kept)
        else:
            await self._store.free(self._claim)
        self._settled = True

    def _is_worth_keeping(self) -> bool:
        return (
            self._start["status"] in _SUCCESS
            and not self._scope["state"].get(_PASSING)
            and len(self._answer) <= LONGEST_ANSWER
            and self._body.ended  # else nobody knows what was asked
        )
