"""Who really asks, where a proxy stands between."""

import re
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network

from starlette.types import ASGIApp, Receive, Scope, Send

from viewfinder.quota.address import Address, parse_address

# Some proxies add the port.
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]*)\](?::\d{1,5})?|(?P<v4>[\d.]+):\d{1,5}")
_SCHEMES = {"http", "https"}
_REMEMBERED = 4096


class ClientAddress:
    """Sets `scope["client"]`, and the scheme, to what the proxies that are trusted say.

    Each proxy adds to `X-Forwarded-For` whom it was asked by: read from the right, the first one
    that is no trusted proxy is the client. What stands further left is what that client says.

    Args:
        app: What is further in.
        trusted: Networks of the proxies.
    """

    def __init__(self, app: ASGIApp, *, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)
        self._trusts = lru_cache(_REMEMBERED)(self._is_trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "http" and scope.get("client"):
            peer = parse_address(scope["client"][0])
            if peer is not None and self._trusts(peer):
                client = self._client(peer, _values(scope, b"x-forwarded-for"))
                if client != peer:
                    scope["client"] = (str(client), 0)
                scheme = _values(scope, b"x-forwarded-proto")[-1:]
                if scheme and scheme[0].lower() in _SCHEMES:
                    scope["scheme"] = scheme[0].lower()
        await self._app(scope, receive, send)

    def _client(self, peer: Address, chain: Sequence[str]) -> Address:
        """The first one from the right that is not trusted; what is no address ends the chain."""
        client = peer
        for text in reversed(chain):
            found = _WITH_PORT.fullmatch(text)
            address = parse_address(found["v6"] or found["v4"] if found else text)
            if address is None:
                break
            client = address
            if not self._trusts(address):
                break
        return client

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _values(scope: Scope, name: bytes) -> list[str]:
    """The values of a header that is a list, those of the last line last."""
    lines = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return [value.strip() for value in ",".join(lines).split(",")] if lines else []
