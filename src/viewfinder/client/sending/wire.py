"""Calls over HTTP, without an event loop."""

import httpcore2

from viewfinder.client.call import Answer
from viewfinder.client.options import Options
from viewfinder.client.photos.forms import Form
from viewfinder.client.sending.http import (
    CONNECTIONS,
    FAILURES,
    IDLE_S,
    heard,
    timeouts,
    unheard,
)
from viewfinder.client.sending.stream import Backend, within
from viewfinder.client.sending.talk import Send, Unheard


class Wire:
    """Connections to one server; any number of threads may use them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._pool = httpcore2.ConnectionPool(
            ssl_context=options.context(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=options.at_once,
            keepalive_expiry=IDLE_S,
            network_backend=Backend(),
        )

    def send(self, send: Send) -> Answer | Unheard:
        """Do what a step says.

        Raises:
            OSError: A file of the body cannot be read.
        """
        call, body = send.call, send.call.body
        try:
            with within(send.timeout_s):
                response = self._pool.request(
                    call.method,
                    self._options.address(call),
                    headers=self._options.headers(call, send.timeout_s),
                    content=body.pieces() if isinstance(body, Form) else body,
                    extensions=timeouts(send.timeout_s),
                )
        except FAILURES as error:
            return unheard(error)
        return heard(response)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()
