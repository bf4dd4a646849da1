"""What a name server says, and who is asked then."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from tests.net.hosts import PUBLIC, Host, Names, answer, fetching, hosting, let_be_public
from tests.support import photo

from viewfinder.errors import BlockedAddressError, FetchFailedError, OverloadedError

CAT = photo("cat.jpg")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    let_be_public(monkeypatch)
    return Names(monkeypatch)


@pytest.fixture
def public() -> Iterator[Host]:
    with hosting({"/cat.jpg": answer(CAT)}, address=PUBLIC) as host:
        yield host


async def test_a_public_host_is_asked(names: Names, public: Host) -> None:
    names.answers["photos.example.com"] = [[PUBLIC]]
    async with fetching(public, allow_private=False) as fetch:
        assert await fetch(public.url("/cat.jpg", name="photos.example.com")) == CAT
    (head,) = public.heads
    assert f"\r\nHost: photos.example.com:{public.port}\r\n" in head


async def test_the_name_is_looked_up_once_and_the_address_that_was_checked_is_connected_to(
    names: Names, public: Host
) -> None:
    names.answers["photos.example.com"] = [[PUBLIC], ["127.0.0.1"]]
    with hosting(port=public.port) as sink:
        async with fetching(public, allow_private=False) as fetch:
            url = public.url("/cat.jpg", name="photos.example.com")
            assert await fetch(url) == CAT
            assert names.asked == ["photos.example.com"]
            with pytest.raises(BlockedAddressError):
                await fetch(url)
        assert sink.reached() == 0
    assert public.connections == 1


@pytest.mark.parametrize("private", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:127.0.0.2"])
async def test_one_private_address_among_others_is_enough(
    names: Names, public: Host, private: str
) -> None:
    names.answers["photos.example.com"] = [[PUBLIC, private]]
    async with fetching(public, allow_private=False) as fetch:
        with pytest.raises(BlockedAddressError):
            await fetch(public.url("/cat.jpg", name="photos.example.com"))
    assert public.reached() == 0


async def test_the_next_address_is_tried_where_one_refuses(names: Names, public: Host) -> None:
    names.answers["photos.example.com"] = [["127.0.0.1", "::1", PUBLIC]]
    async with fetching(public) as fetch:
        assert await fetch(public.url("/cat.jpg", name="photos.example.com")) == CAT


async def test_a_name_known_inside_and_one_known_nowhere_are_told_alike(
    names: Names, public: Host
) -> None:
    names.answers |= {"wiki.example.com": [["10.0.0.1"]], "nothing.example.com": [[]]}
    async with fetching(public, allow_private=False) as fetch:
        with pytest.raises(BlockedAddressError) as inside:
            await fetch(public.url(name="wiki.example.com"))
        with pytest.raises(BlockedAddressError) as nowhere:
            await fetch(public.url(name="nothing.example.com"))
    assert inside.value.detail == nowhere.value.detail


async def test_a_name_known_nowhere_fails_where_there_is_nothing_to_hide(
    names: Names, public: Host
) -> None:
    names.answers["nothing.example.com"] = [[]]
    async with fetching(public) as fetch:
        with pytest.raises(FetchFailedError):
            await fetch(public.url(name="nothing.example.com"))


async def test_nobody_is_asked_about_a_host_that_can_be_no_public_one(
    names: Names, public: Host
) -> None:
    inside = ["localhost", "a.localhost", "metadata.google.internal", "nas.local", "intranet"]
    names.answers |= {name: [[PUBLIC]] for name in (*inside, "2130706433", "127.1", "0x7f.0.0.1")}
    async with fetching(public, allow_private=False) as fetch:
        for name in names.answers:
            with pytest.raises(BlockedAddressError):
                await fetch(public.url(name=name))
    assert names.asked == []


async def test_slow_name_servers_do_not_hold_the_threads_of_others(
    public: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()

    def never(*_: Any, **__: Any) -> list[Any]:
        assert answered.wait(120)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", never)
    async with fetching(public, allow_private=False, timeout_s=0.2) as fetch:
        urls = [public.url(name=f"n{number}.example.com") for number in range(40)]
        told = await asyncio.gather(*map(fetch, urls), return_exceptions=True)
        assert {type(error) for error in told} <= {FetchFailedError, OverloadedError}
        async with asyncio.timeout(30):
            assert await asyncio.to_thread(lambda: "free") == "free"
        answered.set()
