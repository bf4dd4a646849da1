"""No callback makes the server connect to where strangers have no business."""

import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.net.hosts import PUBLIC, Host, Names, answer, hosting_together, let_be_public, redirect
from tests.robustness.private_urls import PROXIES, VECTORS, Sinks, sinking

from viewfinder.jobs.callbacks.schedule import Answer
from viewfinder.jobs.callbacks.sender import Sender
from viewfinder.settings import WebhookSettings
from viewfinder.storage.deliveries import Delivery

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
KNOWN_TO_ALL = f"whsec_{'A' * 43}="
PRIVATE = "The host of the URL has no public address."


@pytest.fixture(scope="module")
def sinks() -> Iterator[Sinks]:
    with sinking() as sinks:
        yield sinks


@pytest.fixture
def lured(sinks: Sinks, monkeypatch: pytest.MonkeyPatch) -> Sinks:
    """Sinks that the environment names as proxies for everything."""
    for name in PROXIES:
        monkeypatch.setenv(name, f"http://127.0.0.1:{sinks.port}")
        monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{sinks.port}")
    monkeypatch.setenv("NO_PROXY", "")
    return sinks


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    let_be_public(monkeypatch)
    return Names(monkeypatch)


@pytest.fixture
def hosts() -> Iterator[list[Host]]:
    """A host on the internet, `hooks.example.com`, and what listens at the same port inside."""
    private = ("127.0.0.1", "::1") if socket.has_ipv6 else ("127.0.0.1",)
    with hosting_together(PUBLIC, *private, answers={"/": answer(b"ok")}) as hosts:
        yield hosts


class _Calling:
    def __init__(self) -> None:
        self.senders: dict[WebhookSettings, Sender] = {}

    async def __call__(self, url: str, port: int, **options: Any) -> Answer:
        settings = WebhookSettings(ports=(80, 443, port), **{"timeout_s": 2, **options})
        if settings not in self.senders:
            self.senders[settings] = Sender(settings)
        body, identifier = '{"type":"job.succeeded"}', f"msg_{uuid.uuid4().hex}"
        sent = Delivery(
            identifier, "j", NOW, None, "job.succeeded", url, body, "waiting", 0, NOW, None
        )
        return await self.senders[settings].send(sent, (KNOWN_TO_ALL,), NOW)


@pytest.fixture
async def call() -> AsyncIterator[_Calling]:
    """Sends a callback, to public addresses only."""
    calling = _Calling()
    yield calling
    for sender in calling.senders.values():
        await sender.close()


async def test_what_can_be_no_public_url_is_an_attempt_that_asks_nobody(
    call: _Calling, lured: Sinks
) -> None:
    for vector in VECTORS:
        given = await call(vector.replace("PORT", str(lured.port)), lured.port)
        assert given.status is None, vector
        assert given.error is not None
        assert "127.0.0.1" not in given.error
        assert "Error" not in given.error
        assert "log of the server" not in given.error, vector
    assert lured.reached() == 0


async def test_proxies_of_the_environment_are_not_asked(call: _Calling, lured: Sinks) -> None:
    for url in ("http://1.1.1.1/", "https://1.1.1.1/", "http://example.com/"):
        await call(url, lured.port)
    assert lured.reached() == 0


async def test_a_public_host_is_called(call: _Calling, names: Names, hosts: list[Host]) -> None:
    names.answers["hooks.example.com"] = [[PUBLIC]]
    public, *inside = hosts
    url = public.url(name="hooks.example.com")
    assert await call(url, public.port, timeout_s=60) == Answer(200)
    assert public.heads[0].startswith("POST / HTTP/1.1\r\n")
    assert [host.reached() for host in inside] == [0] * len(inside)


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["::1"], ["169.254.169.254"], ["10.0.0.1", PUBLIC], [PUBLIC, "127.0.0.1"], []],
)
async def test_a_name_that_leads_inside_is_not_called(
    call: _Calling, names: Names, hosts: list[Host], addresses: list[str]
) -> None:
    names.answers["hooks.example.com"] = [addresses]
    url = hosts[0].url(name="hooks.example.com")
    assert await call(url, hosts[0].port, timeout_s=60) == Answer(None, PRIVATE)
    assert [host.reached() for host in hosts] == [0] * len(hosts)


async def test_a_name_that_means_something_else_the_next_time_gains_nothing(
    call: _Calling, names: Names, hosts: list[Host]
) -> None:
    names.answers["rebinding.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    public, *inside = hosts
    url = public.url(name="rebinding.example.com")
    assert await call(url, public.port, timeout_s=60) == Answer(200)
    assert names.asked == ["rebinding.example.com"]
    assert await call(url, public.port, timeout_s=60) == Answer(None, PRIVATE)
    assert [host.reached() for host in inside] == [0] * len(inside)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(
    call: _Calling, names: Names, hosts: list[Host], status: int
) -> None:
    names.answers["hooks.example.com"] = [[PUBLIC]]
    public, *inside = hosts
    public.answers["/"] = redirect(f"http://127.0.0.1:{public.port}/", status)
    given = await call(public.url(name="hooks.example.com"), public.port, timeout_s=60)
    assert given == Answer(status, "A redirect is not followed.")
    assert public.reached() == 1
    assert [host.reached() for host in inside] == [0] * len(inside)
