"""Hears of jobs that are over, and believes only what its own server has signed.

`VIEWFINDER_WEBHOOK_SECRET=whsec_... python receiver.py [PORT]`
"""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

_LARGEST_BYTES = 1_000_000


class Seen:
    """Which callbacks have been worked on; in a database, where there is more than one process."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._lock = threading.Lock()

    def is_new(self, identifier: str) -> bool:
        """Whether it is the first time; from then on it is not."""
        with self._lock:
            is_new = identifier not in self._ids
            self._ids.add(identifier)
            return is_new


class Handler(BaseHTTPRequestHandler):
    """Answers at once; what takes longer belongs after the answer."""

    timeout = 10  # seconds that a caller may be silent
    webhook: Webhook
    seen: Seen

    def do_POST(self) -> None:
        """Take a callback, if it is genuine and not older than five minutes."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _LARGEST_BYTES:
            self._answer(413)
            return
        body = self.rfile.read(int(length))  # signed as it came: not to be parsed before
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            event = self.webhook.verify(body, headers)
        except (WebhookVerificationError, ValueError):
            self._answer(401)
            return
        # A callback comes at least once: what is new is worked on, and each gets the same answer.
        is_new = self.seen.is_new(headers["webhook-id"])
        self._answer(204)
        if is_new:
            work_on(event)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet: what a stranger sends is not for the log."""


def work_on(event: Any) -> None:
    """Here goes what is to happen when a job is over."""
    job = event["data"]
    counts = job["counts"]
    print(f"{event['type']} {job['id']}: {counts['succeeded']} of {counts['total']}", flush=True)


def main() -> None:
    """Listen until Ctrl-C."""
    Handler.webhook = Webhook(os.environ["VIEWFINDER_WEBHOOK_SECRET"])
    Handler.seen = Seen()
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 9000
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(f"listening at http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
