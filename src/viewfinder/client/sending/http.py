"""What both ways to send share: the connections, the timeouts, and what came of a request.

`httpcore2`, the part of `httpx2` under its conveniences: no proxies from the environment, no
`.netrc`, no cookies, no redirects.
"""

import ssl
from typing import Any

import httpcore2

from viewfinder.client.call import Answer
from viewfinder.client.sending.talk import Unheard

CONNECTIONS = 100
# Less than a server, or a gateway, keeps an idle one: it seldom closes one that is just being used.
IDLE_S = 4.0
FAILURES = (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException)


def timeouts(seconds: float) -> dict[str, Any]:
    """How long each part of a call may take, at most."""
    return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), seconds)}


def heard(response: httpcore2.Response) -> Answer:
    """An answer whose body is there."""
    headers = {name.decode("latin-1").lower(): value for name, value in response.headers}
    return Answer(
        response.status,
        {name: value.decode("latin-1") for name, value in headers.items()},
        response.content,
    )


def unheard(error: Exception) -> Unheard:
    """Why there is no answer."""
    if isinstance(error, httpcore2.TimeoutException):
        return Unheard.LATE
    if not isinstance(error, httpcore2.ConnectError):
        return Unheard.BROKEN
    cause = error.__context__
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError):
        return Unheard.UNPROVED
    return Unheard.UNSENT
