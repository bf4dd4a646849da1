"""What a client is told when it is made."""

import math
import ssl
from dataclasses import dataclass, field
from typing import Any

import httpx2

from viewfinder import __version__
from viewfinder.client.call import Call
from viewfinder.client.photos.forms import Form
from viewfinder.client.sending.retrying import Retries

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT_HEADER = "X-Request-Timeout-Ms"
_LONGEST_MS = 24 * 3600 * 1000
_SCHEMES = {"http", "https"}


@dataclass(frozen=True, slots=True)
class Options:
    """How to reach a server, and how to send photos there.

    Attributes:
        url: Where it is; with a path, if it is below one.
        key: Shown to it.
        timeout_s: Seconds for a call that says nothing of it.
        retries: When to try again.
        resize: Pixels of the shorter side beyond which a photo is made smaller; None sends all as
            they are.
        verify: Whose word counts for its certificate: the public authorities, those of a file or
            of a context, or nobody's.
        at_once: Photos to send side by side.
    """

    url: str
    key: str | None = field(repr=False)
    timeout_s: float
    retries: Retries
    resize: int | None
    verify: bool | str | ssl.SSLContext
    at_once: int

    def __post_init__(self) -> None:
        _check_url(self.url)
        if self.key is not None and not _fits_a_header(self.key):
            # It is not shown: whatever it is, it was meant to be secret.
            raise ValueError("key: give the key alone, without blanks or line ends")
        check_timeout(self.timeout_s)
        if self.resize is not None and self.resize < 1:
            raise ValueError("resize: give the pixels of the shorter side, or None")
        if self.at_once < 1:
            raise ValueError("at_once: give 1 or more")

    def context(self) -> ssl.SSLContext | None:
        """What TLS is spoken with; None where it is not. The environment is not asked."""
        if httpx2.URL(self.url).scheme != "https":
            return None
        if self.verify is True or isinstance(self.verify, ssl.SSLContext):
            return httpx2.create_ssl_context(self.verify, trust_env=False)
        if isinstance(self.verify, str):
            return ssl.create_default_context(cafile=self.verify)
        return httpx2.create_ssl_context(verify=False, trust_env=False)

    def address(self, call: Call[Any]) -> str:
        """Where a call goes."""
        query = httpx2.QueryParams(call.query)
        return f"{self.url.rstrip('/')}{call.path}" + (f"?{query}" if query else "")

    def headers(self, call: Call[Any], timeout_s: float) -> list[tuple[str, str]]:
        """What a call says beside its body, when it has so many seconds."""
        headers = {
            "User-Agent": f"viewfinder/{__version__}",
            "Accept": "application/json",
            TIMEOUT_HEADER: str(max(1, min(_LONGEST_MS, math.floor(timeout_s * 1000)))),
        }
        if self.key is not None:
            headers["X-API-Key"] = self.key
        if isinstance(call.body, Form):
            headers["Content-Type"] = call.body.content_type
        return list({**headers, **call.headers}.items())


def check_timeout(seconds: float) -> float:
    """Seconds that a call may take.

    Raises:
        ValueError: They are none.
    """
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ValueError("timeout_s: give seconds above 0")
    return seconds


def _check_url(url: str) -> None:
    wanted = f"url: give an address such as {DEFAULT_URL} or https://example.org/photos"
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise ValueError(wanted) from None  # it may have a password in it
    if parsed.userinfo:
        raise ValueError(f"{wanted}, with no user name in it; a key goes into key")
    if parsed.scheme not in _SCHEMES or not parsed.host or parsed.query or parsed.fragment:
        raise ValueError(wanted)


def _fits_a_header(key: str) -> bool:
    return bool(key) and key.isascii() and key.isprintable() and " " not in key
