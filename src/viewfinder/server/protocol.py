"""HTTP/1.1 on one connection, with limits where uvicorn has none.

uvicorn's own protocol takes a head of any size, waits for a body for as long as the client likes,
and keeps what a client does not read. Here every phase of a connection ends in time, and what
cannot be parsed is answered as every other error is.
"""

import asyncio
from typing import TYPE_CHECKING, Any, NoReturn

import uuid_utils
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from viewfinder.api.errors import CATALOG, MEDIA_TYPE, ProblemResponse, to_problem
from viewfinder.api.guards.head import content_length
from viewfinder.api.guards.observe import ANSWERED
from viewfinder.api.guards.paths import JOBS
from viewfinder.api.health import DRAINING
from viewfinder.api.metrics import METRICS, count_unread
from viewfinder.errors import (
    HeadersTooLargeError,
    MalformedRequestError,
    OverloadedError,
    RequestError,
    RequestTimeoutError,
    ServiceError,
)
from viewfinder.jobs.pace import longest_s
from viewfinder.server.config import ServerConfig
from viewfinder.server.transport import OneWrite

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
    from uvicorn.server import ServerState

    from viewfinder.telemetry.metrics import Metrics

# By how much chunked encoding may lengthen a body: one-byte chunks may, endless extensions not.
_MOST_FRAMING, _FREE_FRAMING = 8, 64 * 1024
_AROUND_HEADER = len(": \r\n")
# Requests that a client may send ahead of the answers. One read can hold thousands.
_MOST_AHEAD = 16
# How long a new connection may be silent when the server stops.
_FRESH_S = 1.0
# How long what a client goes on sending is read for nothing, so that it reads why.
_LINGER_S = 2.0


class GuardedProtocol(HttpToolsProtocol):
    """One connection.

    Args:
        config: With the limits of the head, of silence, of connections.
        server_state: What all connections share.
        app_state: What every request sees.
    """

    def __init__(
        self,
        config: ServerConfig,
        server_state: "ServerState",
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = config.limits
        self._body_s = config.body_s
        self._wire: OneWrite
        self._reason: RequestError | None = None  # why the parser was stopped
        self._refused = self._turned_away = False
        self._in_head = self._in_body = False
        self._began = self._heard = self.loop.time()
        # Of the message that comes: bytes of the head, also unparsed ones; headers; bytes on the
        # wire since then, those of them that are the body's, and those after its last.
        self._head_bytes = self._parsed = self._headers = 0
        self._wired = self._carried = self._bare = 0
        # When the last answer was out, and how much of its request was read after that.
        self._answered, self._surplus = self._began, 0
        # Since when the client has taken nothing of what waits for it, and how much that was.
        self._unread_since, self._unread = self._began, 0

    @property
    def idle(self) -> bool:
        """Whether nothing is asked here that is not answered."""
        return not self._in_head and (self._last is None or self._last.response_complete)

    @property
    def _last(self) -> "RequestResponseCycle | None":
        """The request that came last, if any has."""
        return self.cycle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; when there are too many, an idle connection makes room, or this one goes."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(transport)
        self._wire = OneWrite(transport, self.loop, self._is_sending)
        full = len(self.connections) >= self._limits.connections
        there_is_room = not full or any(_makes_room(one) for one in self.connections)
        super().connection_made(self._wire)
        if not there_is_room:
            self._turned_away = True
            self._refuse(OverloadedError("Too many connections are open.", retry_after_s=1))

    def _is_sending(self) -> bool:
        return (self._in_head or self._in_body) and not self._turned_away

    def data_received(self, data: bytes) -> None:
        """Parse; what is too much is refused before it is kept."""
        if self._refused or self._wire.lingering is not None or self._is_surplus():
            self._surplus += len(data)
            if self._surplus > self._limits.batch_bytes:
                self._wire.abort()
            if self._refused or self._wire.lingering is not None:
                return  # to be read so that the client reads, or until what came before is answered
        self._heard = self.loop.time()
        if self._in_body:
            self._wired += len(data)
            self._bare += len(data)
        else:
            if not self._in_head:
                self._begin_head()
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self._limits.head_bytes:
            self._refuse(self._too_long())
        elif self._in_body and self._is_mostly_framing():
            self._refuse(MalformedRequestError("The chunks of the body are mostly framing."))

    def _is_surplus(self) -> bool:
        """Whether what comes belongs to a request that is answered already."""
        return self._in_body and self._last is not None and self._last.response_complete

    def _is_mostly_framing(self) -> bool:
        # Of a trailer, the parser keeps the name and the value until both have come.
        return (
            self._bare > _FREE_FRAMING
            or self._wired > _MOST_FRAMING * self._carried + _FREE_FRAMING
        )

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser stopped at."""
        del msg  # the parser's own words
        self._refuse(self._reason or MalformedRequestError("The request is not valid HTTP/1.1."))

    def _begin_head(self) -> None:
        self._in_head, self._began = True, self._heard
        self._head_bytes = self._parsed = self._headers = self._surplus = 0
        self._wired = self._carried = self._bare = 0

    def on_message_begin(self) -> None:
        """Another message, maybe in the same bytes as the one before."""
        if len(self.pipeline) >= _MOST_AHEAD:
            self._stop_parsing(MalformedRequestError("Too many requests were sent ahead."))
        if not self._in_head:
            self._begin_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header. Trailers count, and are dropped: the head that the guards saw is the head."""
        self._headers += 1
        self._count(len(name) + len(value) + _AROUND_HEADER)
        if not self._in_body:
            super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._parsed += size
        if self._parsed > self._limits.head_bytes or self._headers > self._limits.headers:
            self._stop_parsing(self._too_long())

    def _stop_parsing(self, refusal: RequestError) -> NoReturn:
        """From inside the parser; it ends, which leads to `send_400_response`."""
        self._reason = refusal
        raise refusal

    def _too_long(self) -> HeadersTooLargeError:
        limits = self._limits
        return HeadersTooLargeError(
            f"A request may have {limits.headers} headers and {limits.head_bytes:,} bytes of them."
        )

    def on_headers_complete(self) -> None:
        """Hand the request on."""
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            # RFC 9112, section 3.2
            self._stop_parsing(MalformedRequestError("A request has one header Host."))
        before = self._last
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # the parser reads no more here
        elif self.app_state.get(DRAINING):
            self.cycle.keep_alive = False
            if before is not None and not before.response_started:
                before.keep_alive = True  # the last of those that were sent ahead closes

    def _start_asgi_task(self, cycle: "RequestResponseCycle", app: Any) -> None:
        watched: Any = _EarlyAnswer(app, cycle, self._limits.batch_bytes)
        super()._start_asgi_task(cycle, watched)

    def on_response_complete(self) -> None:
        """Turn to the next request, or wait for one."""
        self._answered = self.loop.time()
        super().on_response_complete()

    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body on."""
        self._carried += len(body)
        self._bare = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body has come."""
        self._in_body = False
        super().on_message_complete()

    def check(self, now: float) -> None:
        """Cut what takes too long.

        Args:
            now: On the clock of the event loop.
        """
        if self._takes_nothing(now) or self._lingers_too_long(now):
            self._wire.abort()
        elif self._wire.is_closing() or self.flow.read_paused:
            self._heard = now  # the silence is ours
        elif self._is_surplus():
            if now - self._answered > self._limits.head_s:
                self._wire.close()
        elif self._in_body:
            if now - self._heard > self._limits.stall_s or now - self._began > self._patience_s:
                self._refuse(RequestTimeoutError("The body came too slowly."))
        elif self._in_head:
            if now - self._began > self._limits.head_s:
                self._refuse(RequestTimeoutError("The headers came too slowly."))
        elif self.idle and self._is_forgotten(now):
            self._wire.close()

    @property
    def _patience_s(self) -> float:
        """How long the body may take that comes: that of a job the longer, the more has come."""
        return self._body_s + (longest_s(self._carried) if self.scope["path"] == JOBS else 0)

    def _takes_nothing(self, now: float) -> bool:
        unread = self._wire.unsent()
        if not unread or unread < self._unread:
            self._unread_since = now
        self._unread = unread
        return now - self._unread_since > self._limits.stall_s

    def _lingers_too_long(self, now: float) -> bool:
        return self._wire.lingering is not None and now - self._wire.lingering > _LINGER_S

    def _is_forgotten(self, now: float) -> bool:
        if self._last is None:  # nothing has ever been asked here
            return now - self._began > self._fresh_s
        # uvicorn's own timer starts with the end of an answer, and ends with the next byte: when
        # that is a byte of the body, which came after its answer, nothing starts it again.
        silent = now - self._heard > self.timeout_keep_alive
        return silent and self.timeout_keep_alive_task is None

    @property
    def _fresh_s(self) -> float:
        return _FRESH_S if self.app_state.get(DRAINING) else self._limits.head_s

    def shutdown(self) -> None:
        """Close when there is nothing left to answer; who has only just connected gets a moment."""
        last = self._last
        if last is not None and not last.response_complete:
            last.keep_alive = False
        elif self.idle and (last is not None or self.loop.time() - self._began > _FRESH_S):
            self._wire.close()

    def make_room(self) -> bool:
        """Close for the sake of another, if nothing is asked here; say whether that is so."""
        if not self.idle or self._wire.is_closing():
            return False  # who is closing makes room already, for one who came before
        self.shutdown()
        return self._wire.is_closing()

    def _refuse(self, error: RequestError | ServiceError) -> None:
        """Answer in place of the application, if there is still something to answer; then close.

        What came whole before is answered first.
        """
        if self._refused or self._wire.is_closing():
            return
        self._refused = True
        cycle, identifier = self._last, str(uuid_utils.uuid7())
        if not self._in_body or self.pipeline:
            self._count_unread(error)
        if cycle is None or (cycle.response_complete and not self._in_body):
            self._wire.write(self._answer(error, identifier))
            self._wire.close()
        elif not self._in_body:
            cycle.keep_alive = False  # it is the last one
        elif self.pipeline:
            cycle.keep_alive = False
            problem = to_problem(error, identifier)
            refusal: Any = ProblemResponse(problem, {"X-Request-ID": identifier})
            self.pipeline[0] = (cycle, refusal)  # runs when its turn comes
        else:
            # It is the body of this request that is at fault: its handler gets no more of it.
            if not cycle.response_started:
                state = self.scope["state"]
                state |= {"problem": error.code, ANSWERED: CATALOG[error.code][0]}
                self._wire.write(self._answer(error, state.get("request_id") or identifier))
            cycle.disconnected = True
            cycle.message_event.set()
            self._wire.close()

    def _count_unread(self, error: RequestError | ServiceError) -> None:
        """Count what the application never hears of."""
        metrics: Metrics | None = self.app_state.get(METRICS)
        if metrics is not None:
            count_unread(metrics, CATALOG[error.code][0], error.code)

    def _answer(self, error: RequestError | ServiceError, identifier: str) -> bytes:
        problem = to_problem(error, identifier)
        body = problem.model_dump_json(exclude_none=True).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", identifier.encode()),
            (b"connection", b"close"),
        ]
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % error.retry_after_s))
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return STATUS_LINE[problem.status] + lines + b"\r\n" + body


class _EarlyAnswer:
    """An application that may answer before a request's body has come.

    The connection cannot be used on where the client waits to be told to send that body, and takes
    what it sends next for the next request; nor is it worth it where too much would have to be read
    for nothing.
    """

    def __init__(self, app: Any, cycle: "RequestResponseCycle", most: int) -> None:
        self._app = app
        self._cycle = cycle
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""

        async def send_early(message: Message) -> None:
            cycle = self._cycle
            if message["type"] == "http.response.start" and cycle.more_body:
                rest = content_length(scope) or 0
                if cycle.waiting_for_100_continue or rest > self._most:
                    cycle.keep_alive = False
            await send(message)

        await self._app(scope, receive, send_early)


def _makes_room(connection: object) -> bool:
    return isinstance(connection, GuardedProtocol) and connection.make_room()
