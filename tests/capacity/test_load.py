"""Closed-loop load, against real servers and what is none."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from tests.net.hosts import answer, hosting
from tests.support import Engine, LocalServer, encode, free_port, grey, serving_one

from viewfinder.capacity.load import Connection, Load, Target
from viewfinder.imaging.decode import decode
from viewfinder.settings import CacheSettings, Limits

PATH = "/v1/classify"


@pytest.fixture
def server(store: Path, engine: Engine) -> Iterator[LocalServer]:
    """A server with the fake model."""
    with serving_one(store, engine) as running:
        yield running


async def test_every_answer_is_counted_and_every_photo_has_its_turn(
    server: LocalServer, engine: Engine
) -> None:
    load = Load(Target.at(server.url, PATH), [grey(24), grey(136)])
    step = await load.run(3, 0.2)
    seen = list(itertools.chain(*engine.calls))
    assert step.clients == 3
    assert step.answered == len(seen) >= 3
    assert (step.refused, step.failed) == (0, 0)
    assert set(seen) == {24, 136}
    assert 0 < step.p50_ms <= step.p99_ms
    assert step.rate > 0
    assert server.connections <= 3


async def test_what_a_full_server_refuses_is_told_apart(store: Path, engine: Engine) -> None:
    with serving_one(store, engine, queue_size=1) as server:
        engine.open.clear()
        asyncio.get_running_loop().call_later(0.3, engine.open.set)
        step = await Load(Target.at(server.url, PATH), [grey(24)]).run(4, 0.1)
    assert step.refused >= 2
    assert step.failed == 0
    assert step.answered >= 2


async def test_a_photo_that_differs_each_time_gets_past_a_cache(
    store: Path, engine: Engine
) -> None:
    photo = encode(Image.new("RGB", (32, 32), (136, 136, 136)), "JPEG")
    with serving_one(store, engine, cache=CacheSettings()) as server:
        same = await Load(Target.at(server.url, PATH), [photo]).run(1, 0.1)
        assert same.answered > len(engine.calls) == 1
        engine.forget()
        varied = Load(Target.at(server.url, PATH, varied=True), [photo])
        step = await varied.run(1, 0.1)
    assert step.answered == len(engine.calls) > 1
    assert set(itertools.chain(*engine.calls)) == {136}


def test_a_photo_that_differs_is_the_same_picture() -> None:
    photo = encode(Image.new("RGB", (32, 32), (136, 40, 20)), "JPEG")
    load = Load(Target.at("http://127.0.0.1", PATH, varied=True), [photo])
    first, second = (
        b"".join(parts).partition(b"\r\n\r\n") for parts in itertools.islice(load._requests(0), 2)
    )
    assert first[2] != second[2]
    assert f"Content-Length: {len(first[2])}".encode() in first[0]
    pictures = [decode(one, limits=Limits()).tobytes() for one in (photo, first[2], second[2])]
    assert pictures[0] == pictures[1] == pictures[2]


async def test_a_server_that_hangs_up_or_talks_nonsense_fails_and_is_asked_again() -> None:
    for said in (lambda connection: connection.close(), b"nonsense\r\n\r\n", answer(b"", "500 No")):
        with hosting({PATH: said}) as host:
            step = await Load(Target.at(host.url("").rstrip("/"), PATH), [grey(24)]).run(2, 0.15)
            assert step.answered == step.refused == 0
            assert step.failed >= 2
            assert step.unanswered == 1.0
            assert step.p99_ms == 0.0


async def test_nobody_there_is_an_error() -> None:
    with pytest.raises(OSError, match=r"refused|Connect"):
        await Load(Target.at(f"http://127.0.0.1:{free_port()}", PATH), [grey(24)]).run(2, 0.1)


async def test_the_address_the_key_and_a_path_go_along() -> None:
    with hosting({f"/sub{PATH}?model=m%401": answer(json.dumps({}).encode())}) as host:
        target = Target.at(host.url("/sub/"), f"{PATH}?model=m%401", key="secret")
        connection = await Connection.open(target)
        assert await connection.ask([target.head, b"\r\nContent-Length: 0\r\n\r\n"]) == 200
        connection.close()
        assert not connection.is_open
        with pytest.raises(ConnectionError):
            await connection.ask([b""])
    assert "X-API-Key: secret" in host.heads[0]
    assert f"Host: {host.address}:{host.port}" in host.heads[0]


def test_an_address_that_is_not_ascii_is_written_as_http_has_it() -> None:
    target = Target.at("https://bücher.example/ä/", PATH)
    assert target.host == "xn--bcher-kva.example"
    assert target.port == 443
    assert target.head.startswith(b"POST /%C3%A4/v1/classify HTTP/1.1\r\n")
    assert b"\r\nHost: xn--bcher-kva.example\r\n" in target.head
    assert Target.at("http://[::1]:8000", PATH).host == "::1"
    assert b"\r\nHost: [::1]:8000\r\n" in Target.at("http://[::1]:8000", PATH).head
