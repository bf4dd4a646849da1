"""A proxy is believed if it is trusted, and only as far as it can know."""

from ipaddress import ip_network

import pytest
from starlette.types import Message, Receive, Scope, Send

from viewfinder.api.guards.client import ClientAddress

TRUSTED = tuple(ip_network(text) for text in ("10.0.0.0/8", "2001:db8:aa::/48"))


async def _seen(peer: str | None, *headers: tuple[str, str]) -> Scope:
    seen: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    async def receive() -> Message:
        raise AssertionError

    async def send(_message: Message) -> None:
        raise AssertionError

    scope: Scope = {
        "type": "http",
        "scheme": "http",
        "client": (peer, 1234) if peer else None,
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    await ClientAddress(app, trusted=TRUSTED)(scope, receive, send)
    return seen[0]


FOR = "X-Forwarded-For"


@pytest.mark.parametrize(
    ("peer", "chain", "client"),
    [
        ("10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("192.0.2.1", ["198.51.100.9"], "192.0.2.1"),  # spoofed: nobody is trusted
        ("10.0.0.1", ["198.51.100.9, 192.0.2.7"], "192.0.2.7"),  # spoofed by the client
        ("10.0.0.1", ["192.0.2.7, 10.0.0.2, 10.3.0.1"], "192.0.2.7"),
        ("10.0.0.1", ["198.51.100.9", "192.0.2.7", "10.0.0.2"], "192.0.2.7"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # a client among the proxies
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7, nonsense, 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", ["192.0.2.7,"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7\xff"], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.7:4711"], "192.0.2.7"),
        ("10.0.0.1", ["[2001:db8::7]:4711"], "2001:db8::7"),
        ("10.0.0.1", ["2001:DB8::7"], "2001:db8::7"),
        ("10.0.0.1", ["::ffff:192.0.2.7"], "192.0.2.7"),
        ("::ffff:10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        ("::ffff:10.0.0.1", ["192.0.2.7, ::ffff:10.0.0.2"], "192.0.2.7"),
        ("2001:db8:aa::1", ["192.0.2.7"], "192.0.2.7"),
        ("2001:db8:ab::1", ["192.0.2.7"], "2001:db8:ab::1"),
        ("testclient", ["192.0.2.7"], "testclient"),
    ],
)
async def test_the_client_is_the_last_one_that_a_trusted_proxy_vouches_for(
    peer: str, chain: list[str], client: str
) -> None:
    scope = await _seen(peer, *((FOR, line) for line in chain))
    assert scope["client"][0] == client


async def test_without_an_address_there_is_nobody_to_trust() -> None:
    scope = await _seen(None, (FOR, "192.0.2.7"))
    assert scope["client"] is None


@pytest.mark.parametrize(
    ("peer", "said", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "HTTPS", "https"),
        ("10.0.0.1", "http, https", "https"),
        ("10.0.0.1", "javascript", "http"),
        ("192.0.2.1", "https", "http"),
    ],
)
async def test_a_trusted_proxy_says_how_it_was_asked(peer: str, said: str, scheme: str) -> None:
    scope = await _seen(peer, ("X-Forwarded-Proto", said))
    assert scope["scheme"] == scheme
