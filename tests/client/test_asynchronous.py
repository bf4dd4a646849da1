"""`AsyncClient`: the twin of `Client`, which leaves nothing behind."""

import asyncio
import inspect
import re
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.net.hosts import hosting
from tests.support import PHOTOS, Engine, LocalServer, Server, grey, serving_one, soon

import viewfinder
from viewfinder.errors import DeadlineExceededError, ViewfinderError


def public(kind: type) -> dict[str, Any]:
    """The methods that people call."""
    return {
        name: method
        for name, method in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_both_clients_have_the_same_methods() -> None:
    assert public(viewfinder.Client).keys() == public(viewfinder.AsyncClient).keys()
    assert inspect.signature(viewfinder.Client) == inspect.signature(viewfinder.AsyncClient)


@pytest.mark.parametrize("name", public(viewfinder.Client))
def test_a_method_is_asked_for_the_same_in_both(name: str) -> None:
    sync = inspect.signature(public(viewfinder.Client)[name])
    twin = public(viewfinder.AsyncClient)[name]
    other = inspect.signature(twin)
    assert sync.parameters == other.parameters
    one_by_one = "Iterator[" in str(sync.return_annotation)
    assert inspect.iscoroutinefunction(twin) is not one_by_one
    told = str(other.return_annotation).replace("AsyncGenerator", "Iterator")
    assert told == str(sync.return_annotation)


@pytest.mark.parametrize("name", public(viewfinder.Client))
def test_what_is_said_of_a_method_is_the_same_or_where_to_look(name: str) -> None:
    said = inspect.getdoc(public(viewfinder.AsyncClient)[name])
    assert said in {inspect.getdoc(public(viewfinder.Client)[name]), f"See `Client.{name}`."}


@pytest.fixture
def held(store: Path, engine: Engine) -> Iterator[LocalServer]:
    """A server whose only thread waits in the engine until the test is over."""
    with serving_one(store, engine) as running:
        engine.open.clear()
        yield running
        engine.open.set()


async def test_a_call_that_is_called_off_leaves_nothing_behind(held: LocalServer) -> None:
    before = asyncio.all_tasks()
    async with viewfinder.AsyncClient(held.url) as client:
        call = asyncio.create_task(client.classify(grey(8)))
        await soon(lambda: held.requests == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await soon(lambda: held.requests == 0)
        await soon(lambda: held.connections == 0)
        assert (await client.live()).status == "ok"
    await soon(lambda: held.connections == 0)
    assert asyncio.all_tasks() == before


async def test_a_deadline_takes_the_connection_with_it(held: LocalServer) -> None:
    async with viewfinder.AsyncClient(held.url) as client:
        with pytest.raises(DeadlineExceededError):
            await client.classify(grey(8), timeout_s=0.3)
        await soon(lambda: held.connections == 0)


async def test_many_that_are_called_off_leave_nothing_behind(held: LocalServer) -> None:
    before = asyncio.all_tasks()
    taken = []

    def photos() -> Iterator[bytes]:
        for number in range(1000):
            taken.append(number)
            yield grey(number % 256)

    async with viewfinder.AsyncClient(held.url, at_once=3) as client:

        async def first() -> Any:
            async with aclosing(client.classify_many(photos())) as answers:
                return await anext(answers)

        asking = asyncio.create_task(first())
        await soon(lambda: held.requests == 3)
        assert len(taken) == 7
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await soon(lambda: held.requests == 0)
    assert asyncio.all_tasks() == before


async def test_a_failure_among_many_ends_them_all(server: Server) -> None:
    before = asyncio.all_tasks()
    async with viewfinder.AsyncClient(server.url) as client:
        photos = [grey(1), b"no", *[grey(number) for number in range(50)]]
        answers = client.classify_many(photos, model="fake")
        assert (await anext(answers)).top.label == "step-0"
        with pytest.raises(ViewfinderError):
            await anext(answers)
    assert asyncio.all_tasks() == before


async def test_calls_go_side_by_side(held: LocalServer, engine: Engine) -> None:
    async with viewfinder.AsyncClient(held.url) as client:
        calls = [asyncio.create_task(client.classify(grey(n * 16))) for n in range(5)]
        await soon(lambda: held.requests == 5)
        engine.open.set()
        answers = await asyncio.gather(*calls)
    assert [one.top.label for one in answers] == [f"step-{n}" for n in range(5)]


async def test_lists_are_asynchronous_generators(server: Server) -> None:
    async with viewfinder.AsyncClient(server.url) as client:
        for made in (client.jobs(), client.results(), client.classify_many([])):
            assert isinstance(made, AsyncGenerator)
            await made.aclose()


def test_threads_share_a_client(server: Server) -> None:
    with viewfinder.Client(server.url, timeout_s=60) as client:
        found: dict[int, str] = {}

        def ask(number: int) -> None:
            found[number] = client.classify(grey(number * 16), model="fake@1").top.label

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == {number: f"step-{number}" for number in range(16)}


def test_no_more_photos_are_taken_than_are_needed_ahead(server: Server) -> None:
    taken = []

    def photos() -> Iterator[bytes]:
        for number in range(1000):
            taken.append(number)
            yield grey(8)

    with viewfinder.Client(server.url, timeout_s=60, at_once=2) as client:
        answers = client.classify_many(photos(), model="fake")
        assert taken == []
        next(answers)
        assert len(taken) <= 5
        assert isinstance(answers, Generator)
        answers.close()


def test_a_connection_serves_many_calls() -> None:
    with hosting() as host, viewfinder.Client(host.url()) as client:
        assert host.connections == 0
        assert repr(client) == f"<Client {host.url()}>"


def test_the_examples_of_the_documentation_run(server: Server, tmp_path: Path) -> None:
    page = (PHOTOS.parents[1] / "docs" / "client.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 5
    for path in PHOTOS.glob("*"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "photo.jpg").write_bytes((PHOTOS / "espresso.jpg").read_bytes())
    program = "\n".join(blocks).replace("http://127.0.0.1:8000", server.url)
    (tmp_path / "examples.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "examples.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("espresso 0.")
    assert "README.md failed: The image is not" in done.stdout
    assert "invalid_image" in done.stdout
