"""The keys of a provider that means no good, or cannot help it."""

import importlib
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from tests.oidc import needs_oidc
from tests.support import soon


@pytest.fixture
def jwks() -> Any:
    """The module, where it can be had."""
    needs_oidc()
    return importlib.import_module("viewfinder.access.jwks")


@pytest.fixture(params=["head", "body"])
def trickling(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a provider that sends a byte now and then, and never ends."""
    over = threading.Event()
    beginning = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\nX: "
    if request.param == "body":
        beginning += b"x\r\n\r\n"

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=trickle, args=(connection,), daemon=True).start()

    def trickle(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.sendall(beginning)
            while not over.wait(0.05):
                connection.sendall(b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/jwks"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)


async def test_a_slow_provider_keeps_nobody_and_is_tried_again(
    jwks: Any, trickling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(jwks, "_RETRY_S", 0.01)
    tries, read = [], jwks.ProviderKeys._read

    async def counted(keys: Any) -> Any:
        tries.append(1)
        return await read(keys)

    monkeypatch.setattr(jwks.ProviderKeys, "_read", counted)
    keys = jwks.ProviderKeys("https://login.example.org/", trickling)
    await keys.start()
    assert keys._away
    assert await keys.find("any") is None
    await soon(lambda: len(tries) > 3)
    await keys.close()


@pytest.mark.parametrize(
    "url", ["http://login.example.org/jwks", "ftp://127.0.0.1/jwks", "file:///etc/passwd"]
)
async def test_keys_are_fetched_over_https_alone_but_from_this_machine(
    jwks: Any, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    keys = jwks.ProviderKeys("https://login.example.org/", url)
    await keys.start()
    assert not keys.known
    assert "its address is not https" in caplog.text
    await keys.close()


async def test_what_nobody_foresaw_does_not_end_the_following(
    jwks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    async def broken(_keys: object) -> dict[str, object]:
        tries.append(1)
        raise KeyError

    monkeypatch.setattr(jwks, "_RETRY_S", 0.01)
    monkeypatch.setattr(jwks.ProviderKeys, "_read", broken)
    keys = jwks.ProviderKeys("https://login.example.org/", None)
    await keys.start()
    await soon(lambda: len(tries) > 2)
    await keys.close()
