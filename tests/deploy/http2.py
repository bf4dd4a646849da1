"""One request in HTTP/2 as it travels: libraries do not show an answer that comes early."""

import json
import ssl
from typing import Any

from h2.connection import H2Connection
from h2.events import DataReceived, ResponseReceived, StreamEnded, WindowUpdated


def early_answer(connection: ssl.SSLSocket, path: str, body: bytes, kind: str) -> tuple[int, Any]:
    """Post a body as far as the other side takes it; return the status and the JSON of the answer.

    Args:
        connection: On which `h2` was agreed.
        path: Where to.
        body: Is announced with its length.
        kind: The type of the body.
    """
    h2 = H2Connection()
    h2.initiate_connection()
    h2.send_headers(
        1,
        [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", "localhost"),
            (":path", path),
            ("content-type", kind),
            ("content-length", str(len(body))),
        ],
    )
    status, answer = 0, b""
    while True:
        connection.sendall(h2.data_to_send())
        for event in h2.receive_data(connection.recv(65536)):
            if isinstance(event, ResponseReceived):
                status = int(dict(event.headers)[b":status"])
            elif isinstance(event, DataReceived):
                answer += event.data
            elif isinstance(event, StreamEnded):
                return status, json.loads(answer)
            elif isinstance(event, WindowUpdated) and status == 0:
                body = _send(h2, body)


def _send(h2: H2Connection, body: bytes) -> bytes:
    """Send what may be sent now; return the rest."""
    while room := min(h2.local_flow_control_window(1), h2.max_outbound_frame_size, len(body)):
        h2.send_data(1, body[:room])
        body = body[room:]
    return body
