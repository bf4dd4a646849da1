"""What stands before a server, as a gateway does, and is overloaded for the first request."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2


@dataclass
class Gateway:
    """Where it is, and the heads of the requests that came to it."""

    url: str = ""
    heads: list[Message] = field(default_factory=list)


@contextlib.contextmanager
def overloaded_once(server: str) -> Iterator[Gateway]:
    """The first request gets 503 with `Retry-After: 1`, all others what the server answers."""
    gateway = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            gateway.heads.append(self.headers)
            if len(gateway.heads) == 1:
                self._answer(503, b"", {"Retry-After": "1"})
                return
            kept = {
                name: value
                for name, value in self.headers.items()
                if name.lower() in {"content-type", "x-api-key"}
            }
            said = httpx2.post(
                f"{server}{self.path}", content=body, headers=kept, trust_env=False, timeout=60
            )
            self._answer(
                said.status_code, said.content, {"Content-Type": said.headers["content-type"]}
            )

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quietly."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        gateway.url = f"http://127.0.0.1:{listening.server_port}"
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield gateway
        finally:
            listening.shutdown()
            thread.join(20)
