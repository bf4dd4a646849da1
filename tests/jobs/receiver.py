"""Who is called back: a web server that verifies with the library that its people would take."""

import contextlib
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import standardwebhooks.webhooks
from standardwebhooks import Webhook, WebhookVerificationError

from viewfinder.storage.database import Database
from viewfinder.storage.tables import deliveries

BODY = '{"type":"job.succeeded","data":{"id":"x","note":"überall"}}'


class Clock:
    """What time it is, for who sends and for who verifies."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)
        clock = self

        class Time(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                assert tz is not None
                return clock.now

        monkeypatch.setattr(standardwebhooks.webhooks, "datetime", Time)

    def __call__(self) -> datetime:
        """Now."""
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Call:
    """One call, as it came.

    Attributes:
        headers: By their names in small letters.
        body: What it said.
    """

    headers: dict[str, str]
    body: str

    @property
    def id(self) -> str:
        """Of the callback."""
        return self.headers["webhook-id"]

    def verifies(self, secret: str) -> bool:
        """Whether it is genuine, as far as who has that secret can tell."""
        try:
            Webhook(secret).verify(self.body, self.headers, json_parse=False)
        except WebhookVerificationError:
            return False
        return True


@dataclass
class Receiver:
    """A web server.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        calls: What came, in its order.
        answers: Status and headers for the next calls; then it is 204.
        hold: Cleared, no call is answered until it is set.
    """

    port: int = 0
    calls: list[Call] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where to call."""
        return f"http://127.0.0.1:{self.port}/hook"


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver, for as long as the block lasts."""
    receiver, lock = Receiver(), threading.Lock()
    receiver.hold.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            with lock:
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.calls.append(Call(headers, body))
                status, more = receiver.answers.pop(0) if receiver.answers else (204, {})
            assert receiver.hold.wait(60)
            with contextlib.suppress(OSError):
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quietly."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 100

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.hold.set()
            server.shutdown()
            thread.join(20)


async def put(database: Database, url: str, due: datetime, **fields: Any) -> str:
    """Put a callback where a finished job would; its id."""
    given = {
        "id": f"msg_{uuid.uuid4().hex}",
        "job": str(uuid.uuid4()),
        "created": due,
        "owner": None,
        "type": "job.succeeded",
        "url": url,
        "body": BODY,
        "state": "waiting",
        "attempts": 0,
        "due": due,
        **fields,
    }
    async with database.writing() as connection:
        await connection.execute(deliveries.insert().values(given))
    identifier: str = given["id"]
    return identifier
