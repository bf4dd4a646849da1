"""The server beside the work of a process: what starts it hears why it could not start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
from fastapi import FastAPI

from viewfinder.errors import ListenError
from viewfinder.server.beside import serving_beside
from viewfinder.server.listener import listen, url_of
from viewfinder.settings import Settings


async def test_it_answers_while_the_block_runs() -> None:
    app = FastAPI()
    app.add_api_route("/here", lambda: "yes")
    with listen("127.0.0.1", 0) as listener:
        async with (
            serving_beside(app, Settings(), listener),
            httpx2.AsyncClient(base_url=url_of("127.0.0.1", listener), trust_env=False) as client,
        ):
            assert (await client.get("/here")).json() == "yes"


async def test_a_socket_that_cannot_be_listened_on_is_told_and_put_away() -> None:
    begun, ended = [], []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        begun.append(True)
        yield
        ended.append(True)

    listener = listen("127.0.0.1", 0)
    listener.close()
    with pytest.raises(ListenError, match="health and metrics could not start: Bad file"):
        async with serving_beside(FastAPI(lifespan=lifespan), Settings(), listener):
            raise AssertionError("it has not started")
    assert (begun, ended) == ([True], [True])


async def test_an_application_that_cannot_start_does_not_end_the_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def begin() -> None:
        raise OSError("the disk is gone")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        begin()
        yield

    with (
        listen("127.0.0.1", 0) as listener,
        pytest.raises(ListenError, match=r"health and metrics could not start$"),
    ):
        async with serving_beside(FastAPI(lifespan=lifespan), Settings(), listener):
            raise AssertionError("it has not started")
    assert "the disk is gone" in caplog.text
