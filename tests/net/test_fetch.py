"""A fetcher, and real web servers that behave or do not."""

import asyncio
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from tests.net.hosts import Host, answer, fetching, hosting, redirect
from tests.support import free_port, grey, photo, soon

from viewfinder import __version__
from viewfinder.errors import (
    BlockedAddressError,
    DeadlineExceededError,
    FetchFailedError,
    OverloadedError,
    UnsupportedMediaTypeError,
)
from viewfinder.imaging.decode import recognise
from viewfinder.net.fetch import Fetcher
from viewfinder.settings import MIB, FetchSettings, Limits

CAT = photo("cat.jpg")


@pytest.fixture
def host() -> Iterator[Host]:
    with hosting({"/cat.jpg": answer(CAT)}) as running:
        yield running


async def test_a_photo_is_fetched(host: Host) -> None:
    async with fetching(host) as fetch:
        assert await fetch(host.url("/cat.jpg")) == CAT


async def test_what_is_asked_says_who_asks_and_nothing_else(host: Host) -> None:
    host.answers["/a%20b?c=d&e"] = answer(CAT)
    async with fetching(host) as fetch:
        await fetch(host.url("/x/../a b?c=d&e#fragment"))
    (head,) = host.heads
    assert head.split("\r\n") == [
        "GET /a%20b?c=d&e HTTP/1.1",
        f"Host: 127.0.0.1:{host.port}",
        "Connection: close",
        f"User-Agent: viewfinder/{__version__}",
        "Accept: image/*, */*;q=0.1",
        "Accept-Encoding: identity",
        "",
        "",
    ]


async def test_nothing_is_remembered_from_one_request_to_the_next(host: Host) -> None:
    host.answers["/sets"] = answer(CAT, headers={"Set-Cookie": "a=b; Path=/"})
    async with fetching(host) as fetch:
        await fetch(host.url("/sets"))
        await fetch(host.url("/cat.jpg"))
    assert "cookie" not in "".join(host.heads).lower()
    assert host.connections == 2


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_a_body_of_unknown_length_is_fetched(host: Host, head: str) -> None:
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(CAT), CAT) if "chunked" in head else CAT
    host.answers["/"] = head.encode() + body
    async with fetching(host) as fetch:
        assert await fetch(host.url()) == CAT


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(host: Host, status: int) -> None:
    host.answers["/old"] = redirect("/cat.jpg", status)
    async with fetching(host) as fetch:
        assert await fetch(host.url("/old")) == CAT


async def test_so_many_redirects_are_followed_and_one_more_is_not(host: Host) -> None:
    host.answers |= {
        "/2": redirect("/1"),
        "/1": redirect(host.url("/cat.jpg")),
        "/3": redirect("2"),
    }
    async with fetching(host, redirects=2) as fetch:
        assert await fetch(host.url("/2")) == CAT
        with pytest.raises(FetchFailedError, match="redirects more than 2 times"):
            await fetch(host.url("/3"))


async def test_a_redirect_loop_ends(host: Host) -> None:
    host.answers["/loop"] = redirect("/loop")
    async with fetching(host) as fetch:
        with pytest.raises(FetchFailedError, match="more than 3 times"):
            await fetch(host.url("/loop"))
    assert len(host.heads) == 4


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer(status="302 Found"), "without saying where to"),
        (answer(status="404 Secret words"), "404 Not Found"),
        (answer(CAT, status="206 Partial Content"), "206 Partial Content"),
        (answer(status="304 Not Modified"), "304 Not Modified"),
        (answer(status="300 Choices", headers={"Location": "/cat.jpg"}), "300 Multiple Choices"),
        (answer(status="799 Secret words"), "answers 799."),
        (answer(), "an empty image"),
        (answer(CAT, headers={"Content-Encoding": "br"}), "content encoding"),
        (answer(CAT, headers={"Content-Length": str(len(CAT) + 1)}), "does not speak HTTP"),
        (answer(CAT, headers={"Content-Length": "-5"}), "does not speak HTTP"),
        (answer(CAT, headers={"Transfer-Encoding": "gzip, chunked"}), "does not speak HTTP"),
        (b"220 mail.example.com ESMTP\r\n", "does not speak HTTP"),
        (b"", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "does not speak HTTP"),
        (answer(CAT, status="101 Switching Protocols"), "does not speak HTTP"),
    ],
    ids=range(15),
)
async def test_an_answer_that_is_no_image_says_what_it_is(
    host: Host, given: bytes, said: str
) -> None:
    host.answers["/"] = given
    async with fetching(host) as fetch:
        with pytest.raises(FetchFailedError, match=said) as failed:
            await fetch(host.url())
    assert "127.0.0.1" not in failed.value.detail
    assert "Secret" not in failed.value.detail


def _until_it_is_closed(piece: bytes) -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + CAT[:100])
        while True:  # ends when the other side has closed
            connection.sendall(piece)

    return send


async def test_a_body_without_end_is_cut_at_the_limit(host: Host) -> None:
    host.answers["/"] = _until_it_is_closed(b"x" * 65536)
    async with fetching(host, most_bytes=MIB) as fetch:
        with pytest.raises(FetchFailedError, match=r"over the limit of 1,048,576 bytes"):
            await fetch(host.url())


async def test_a_body_that_says_it_is_too_long_is_not_read(host: Host) -> None:
    held = threading.Event()

    def say(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5001\r\n\r\n")
        assert connection.recv(1) == b""  # it closes without having got a byte
        held.set()

    host.answers["/"] = say
    async with fetching(host, most_bytes=5000) as fetch:
        with pytest.raises(FetchFailedError, match=r"over the limit of 5,000 bytes"):
            await fetch(host.url())
    await soon(held.is_set)


async def test_an_image_may_be_as_long_as_the_limit_and_no_longer(host: Host) -> None:
    host.answers["/unsaid"] = b"HTTP/1.1 200 OK\r\n\r\n" + CAT
    for most, path in ((len(CAT), "/cat.jpg"), (len(CAT), "/unsaid")):
        async with fetching(host, most_bytes=most) as fetch:
            assert await fetch(host.url(path)) == CAT
        async with fetching(host, most_bytes=most - 1) as fetch:
            with pytest.raises(FetchFailedError, match="over the limit"):
                await fetch(host.url(path))


async def test_a_compressed_bomb_is_not_inflated(host: Host) -> None:
    bomb = gzip.compress(bytes(50 * MIB))
    host.answers["/said"] = answer(bomb, headers={"Content-Encoding": "gzip"})
    host.answers["/unsaid"] = answer(bomb)
    async with fetching(host) as fetch:
        with pytest.raises(FetchFailedError, match="content encoding"):
            await fetch(host.url("/said"))
        with pytest.raises(UnsupportedMediaTypeError):
            await fetch(host.url("/unsaid"))


async def test_what_begins_like_no_image_is_not_read_to_its_end(host: Host) -> None:
    cut = threading.Event()

    def begin(connection: socket.socket) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
        connection.sendall(head + b"<!doctype html><title>not found</title>".ljust(200))
        assert connection.recv(1) == b""  # it closes without waiting for the rest
        cut.set()

    host.answers["/"] = begin
    async with fetching(host, timeout_s=300) as fetch:
        with pytest.raises(UnsupportedMediaTypeError, match="not JPEG, PNG"):
            await fetch(host.url(), within=300)
        await soon(cut.is_set)


async def test_a_short_body_that_is_no_image_is_none(host: Host) -> None:
    host.answers["/"] = answer(b"<html>")
    async with fetching(host) as fetch:
        with pytest.raises(UnsupportedMediaTypeError):
            await fetch(host.url())


async def test_a_tiny_image_is_an_image(host: Host) -> None:
    tiny = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
    host.answers["/"] = answer(tiny)
    async with fetching(host) as fetch:
        assert await fetch(host.url()) == tiny


def _flood(unit: bytes, start: bytes = b"HTTP/1.1 200 OK\r\n") -> Callable[[socket.socket], None]:
    def send(connection: socket.socket) -> None:
        connection.sendall(start)
        while True:  # ends when the other side has closed
            connection.sendall(unit * 500)

    return send


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(_flood(b"X-Flood: yes\r\n"), id="headers"),
        pytest.param(_flood(b"x" * 30, b"HTTP/1.1 200 OK\r\nX-Long: "), id="one long header"),
        pytest.param(_flood(b"HTTP/1.1 103 Early Hints\r\n\r\n", b""), id="answers before it"),
        pytest.param(_flood(b"x" * 30, b""), id="no answer"),
        pytest.param(
            _flood(
                b"1\r\nx\r\n",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n"
                + CAT[:100]
                + b"\r\n",
            ),
            id="tiny chunks",
        ),
        pytest.param(
            _flood(
                b"X-Trailer: yes\r\n",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n"
                + CAT[:100]
                + b"\r\n0\r\n",
            ),
            id="trailers",
        ),
    ],
)
async def test_a_flood_of_little_things_is_cut(
    host: Host, send: Callable[[socket.socket], None]
) -> None:
    cut = threading.Event()

    def until_it_is_cut(connection: socket.socket) -> None:
        try:
            send(connection)
        finally:
            cut.set()

    host.answers["/"] = until_it_is_cut
    async with fetching(host, timeout_s=300) as fetch:
        with pytest.raises(FetchFailedError):
            await fetch(host.url(), within=300)
        await soon(cut.is_set)  # and not by the clock


def _say_nothing(connection: socket.socket) -> None:
    assert connection.recv(1) == b""


async def test_a_host_that_never_ends_is_given_up_in_time(host: Host) -> None:
    gone = threading.Event()

    def trickle(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + CAT[:100])
        assert connection.recv(1) == b""
        gone.set()

    host.answers["/"] = trickle
    async with fetching(host, timeout_s=1) as fetch:
        with pytest.raises(FetchFailedError, match="cannot be reached"):
            await fetch(host.url())
        await soon(gone.is_set)


async def test_the_deadline_of_the_request_counts_where_it_is_sooner(host: Host) -> None:
    host.answers["/"] = _say_nothing
    async with fetching(host, timeout_s=60) as fetch:
        with pytest.raises(DeadlineExceededError):
            await fetch(host.url(), within=0.2)
        with pytest.raises(DeadlineExceededError):
            await fetch(host.url("/cat.jpg"), within=-1)


async def test_nobody_listens_and_nobody_answers_are_told_alike(host: Host) -> None:
    host.answers["/"] = _say_nothing
    nobody = free_port()
    async with fetching(host, timeout_s=0.2, ports=[host.port, nobody]) as fetch:
        with pytest.raises(FetchFailedError) as silent:
            await fetch(host.url())
        with pytest.raises(FetchFailedError) as refused:
            await fetch(f"http://127.0.0.1:{nobody}/")
    assert silent.value.detail == refused.value.detail


async def test_whoever_stops_waiting_stops_the_fetch(host: Host) -> None:
    gone = threading.Event()

    def wait(connection: socket.socket) -> None:
        assert connection.recv(1) == b""
        gone.set()

    host.answers["/"] = wait
    async with fetching(host) as fetch:
        task = asyncio.create_task(fetch(host.url()))
        await soon(lambda: host.heads)
        task.cancel()
        await soon(gone.is_set)
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_only_so_many_connections_are_open_at_a_time(host: Host) -> None:
    open_ = threading.Event()

    def wait(connection: socket.socket) -> None:
        assert open_.wait(30)
        connection.sendall(answer(CAT))

    host.answers["/"] = wait
    async with fetching(host) as fetch:
        tasks = [asyncio.create_task(fetch(host.url())) for _ in range(20)]
        await soon(lambda: len(host.heads) == 16)
        with pytest.raises(DeadlineExceededError):
            await fetch(host.url(), within=0.2)
        assert host.connections == 16
        assert not any(task.done() for task in tasks)
        open_.set()
        assert await asyncio.gather(*tasks) == [CAT] * 20


async def test_only_so_many_images_are_held_at_a_time(host: Host) -> None:
    settings = FetchSettings(enabled=True, allow_private=True, ports=(host.port,), timeout_s=300)
    limits = Limits(image_bytes=MIB, bodies_bytes=2 * MIB)
    fetcher = Fetcher(settings, limits, recognise)
    url, later = host.url("/cat.jpg"), time.monotonic() + 300
    async with fetcher.fetch(url, later), fetcher.fetch(url, later):
        with pytest.raises(DeadlineExceededError):
            async with fetcher.fetch(url, time.monotonic() + 0.2):
                pass
    assert host.reached() == 2
    for _ in range(3):  # whatever the end, the room is given back
        with pytest.raises(FetchFailedError):
            async with fetcher.fetch(host.url("/nothing"), later):
                pass
        async with fetcher.fetch(url, later) as content:
            assert content == CAT
    await fetcher.close()


async def test_a_host_that_was_not_asked_is_not_to_blame(host: Host) -> None:
    settings = FetchSettings(enabled=True, allow_private=True, ports=(host.port,), timeout_s=0.1)
    fetcher = Fetcher(settings, Limits(image_bytes=MIB, bodies_bytes=MIB), recognise)
    async with fetcher._room:
        with pytest.raises(OverloadedError):
            async with fetcher.fetch(host.url("/cat.jpg"), time.monotonic() + 300):
                pass
    await fetcher.close()
    assert host.reached() == 0


async def test_a_png_is_fetched_too(host: Host) -> None:
    host.answers["/"] = answer(grey(7))
    async with fetching(host) as fetch:
        assert await fetch(host.url()) == grey(7)


async def test_a_port_that_is_not_named_in_the_settings_is_not_asked(host: Host) -> None:
    async with fetching(host, ports=[80, 443]) as fetch:
        with pytest.raises(BlockedAddressError, match="port"):
            await fetch(host.url("/cat.jpg"))
    assert host.reached() == 0


async def test_a_redirect_to_such_a_port_is_not_followed(host: Host) -> None:
    with hosting() as other:
        host.answers["/"] = redirect(other.url("/cat.jpg"))
        async with fetching(host) as fetch:
            with pytest.raises(BlockedAddressError, match="port"):
                await fetch(host.url())
        assert other.reached() == 0
