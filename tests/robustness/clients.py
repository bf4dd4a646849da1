"""Clients that ask on and on, and remember how each request ended."""

import http.client
import socket
import ssl
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Self

from tests.support import eventually, read_answer

REFUSED, LOST = "refused", "lost"
_PATIENCE_S = 60


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended.

    Attributes:
        kind: The status, `REFUSED` where nobody listened, or `LOST`: sent, and not answered.
        sent: When, on the clock of `time.monotonic`.
        kept: Whether its connection had been used before.
        closing: Whether the answer said that the connection closes.
    """

    kind: str
    sent: float
    kept: bool = False
    closing: bool = False


class Clients:
    """So many clients, each of which asks again as soon as it has been answered.

    Args:
        address: Host and port.
        request: What they ask.
        kept: Clients that keep their connection.
        new: Clients that take a new one for each request.
        until_refused: Each goes home when nobody listens any more; else when all are told to.
        tls: What secures their connections, to `localhost`.
    """

    def __init__(
        self,
        address: tuple[str, int],
        request: bytes,
        *,
        kept: int = 0,
        new: int = 0,
        until_refused: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.count = kept + new
        self.outcomes: list[Outcome] = []
        self.last_connected = 0.0
        self._address, self._request = address, request
        self._until_refused = until_refused
        self._tls = tls
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(number < kept,), daemon=True)
            for number in range(self.count)
        ]

    def __enter__(self) -> Self:
        """Begin."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, each after its answer."""
        self._over.set()
        self.wait()

    def wait(self) -> None:
        """Until all have gone home."""
        for thread in self._threads:
            thread.join(_PATIENCE_S)
            assert not thread.is_alive()

    def go_on(self, requests: int) -> None:
        """Until so many more have been answered well."""
        enough = self.kinds["200"] + requests
        eventually(lambda: self.kinds["200"] >= enough, within=_PATIENCE_S)

    @property
    def kinds(self) -> Counter[str]:
        """How many requests ended how."""
        return Counter(one.kind for one in list(self.outcomes))

    @property
    def excusable(self) -> list[Outcome]:
        """Lost on a kept connection, and sent when maybe nobody listened any more."""
        return [
            one
            for one in self.outcomes
            if one.kind == LOST and one.kept and one.sent > self.last_connected
        ]

    def _ask(self, keep: bool) -> None:
        connection: socket.socket | None = None
        while not self._over.is_set():
            began, kept = time.monotonic(), connection is not None
            try:
                connection = connection or self._connect(began)
            except OSError:
                self.outcomes.append(Outcome(REFUSED, began))
                if self._until_refused:
                    return
                continue
            sent = time.monotonic()
            kind, closing = self._exchange(connection)
            self.outcomes.append(Outcome(kind, sent, kept, closing))
            if closing or not keep:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _connect(self, began: float) -> socket.socket:
        connection = socket.create_connection(self._address, timeout=_PATIENCE_S)
        self.last_connected = max(self.last_connected, began)
        if self._tls is not None:
            return self._tls.wrap_socket(connection, server_hostname="localhost")
        return connection

    def _exchange(self, connection: socket.socket) -> tuple[str, bool]:
        try:
            connection.sendall(self._request)
            answer = read_answer(connection)
        except (OSError, http.client.HTTPException):
            return LOST, True
        return str(answer.status), answer.headers["Connection"] == "close"
