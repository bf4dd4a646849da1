"""`viewfinder classify --server`, against real servers and what is none."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.commands import Commands, lines_of, photos_in
from tests.net.hosts import Host, answer, hosting
from tests.support import Engine, LocalServer, fake_bundle, free_port, serving_here, serving_one

from viewfinder.cli.batch.answers import answers
from viewfinder.cli.batch.remote import answering_there
from viewfinder.cli.batch.sources import Sources
from viewfinder.client.sending.retrying import Retries
from viewfinder.errors import RemoteError
from viewfinder.settings import AuthSettings, Limits, Settings

KEY = "a-key-of-thirty-two-characters-or-more"
LIVE = answer(json.dumps({"status": "ok", "version": "1"}).encode())
IMPATIENT = Retries(attempts=3, backoff_s=0.01)


@pytest.fixture
def server(store: Path, engine: Engine) -> Iterator[LocalServer]:
    """A server with the fake model."""
    with serving_one(store, engine) as running:
        yield running


def test_a_server_answers(
    commands: Commands, server: LocalServer, engine: Engine, tmp_path: Path
) -> None:
    photos_in(tmp_path / "photos", [24, 136, 200])
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no")
    out = tmp_path / "x.jsonl"
    ended = commands.classify(tmp_path / "photos", "--out", out, "--server", server.url + "/")
    assert ended.code == 0
    *answered, broken = lines_of(out)
    assert [line["class"] for line in answered] == ["step-1", "step-8", "step-12"]
    assert answered[0].keys() == {*("path", "class", "confidence", "classes", "model", "abstained")}
    assert answered[0]["model"]["name"] == "fake"
    assert broken["error"]["code"] == "unsupported_media_type"
    assert sorted(one for call in engine.calls for one in call) == [24, 136, 200]


def test_the_options_go_along(commands: Commands, store: Path, server: LocalServer) -> None:
    fake_bundle(store, "other", 7)
    (path,) = photos_in(store.parent / "photos", [24])
    asked = ["--server", server.url, "--model", "nope", "--top-k", 2, "--json"]
    assert "no model 'nope'" in commands.classify(path, *asked).complaint
    said = json.loads(commands.classify(path, *asked, "--model", "fake@1").out)
    assert said["model"]["version"] == 1
    assert len(said["classes"]) == 2


def test_the_key_comes_from_the_settings(
    commands: Commands, store: Path, tmp_path: Path, engine: Engine
) -> None:
    fake_bundle(store)
    (path,) = photos_in(tmp_path / "photos", [24])
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    settings = Settings(
        home=tmp_path / "server",
        model_store=str(store),
        default_model="fake",
        auth=AuthSettings(enabled=True, bootstrap_key_file=key_file),
    )
    with serving_here(settings) as guarded:
        asked = [path, "--server", guarded.url, "--json"]
        assert "asks for a key" in commands.classify(*asked).complaint
        commands.set(API_KEY="another-key-of-thirty-two-characters")
        assert "the server refuses" in commands.classify(*asked).complaint
        commands.set(API_KEY=KEY)
        ended = commands.classify(*asked)
    assert json.loads(ended.out)["class"] == "step-1"
    assert KEY not in ended.out + ended.err
    assert engine.calls


def test_a_full_server_is_waited_for(
    commands: Commands, store: Path, tmp_path: Path, engine: Engine
) -> None:
    photos_in(tmp_path / "photos", range(4, 44, 4))
    fake_bundle(store, "slow", milliseconds=50)
    with serving_one(store, engine, queue_size=1) as server:
        ended = commands.classify(
            *(tmp_path / "photos", "--server", server.url, "--model", "slow", "--json")
        )
        assert server.waiting == 0
    assert ended.code == 0
    assert ended.err == ""
    assert all("class" in json.loads(line) for line in ended.out.splitlines())


def test_what_a_server_asks_for_is_heeded(commands: Commands, tmp_path: Path) -> None:
    problem = json.dumps({"code": "overloaded", "detail": "Full."}).encode()
    told = {
        "class": "cat",
        "confidence": 0.5,
        "classes": [{"class": "cat", "index": 0, "confidence": 0.5}],
        "model": {"name": "m", "version": 3, "variant": "int8"},
        "abstained": False,
    }
    replies = [
        answer(problem, "503 Service Unavailable", {"Retry-After": "1"}),
        answer(problem, "429 Too Many Requests", {"Retry-After": "1"}),
        answer(b"<html>", "502 Bad Gateway"),
        answer(json.dumps(told).encode()),
        answer(json.dumps(told).encode()),
    ]
    photos_in(tmp_path / "photos", [24, 28])
    with hosting({"/sub/health/live": LIVE}) as host:

        def reply(connection: socket.socket) -> None:
            connection.sendall(replies.pop(0))

        host.answers["/sub/v1/classify?top_k=5"] = reply
        host.answers["/sub/v1/classify?top_k=5&model=m%403"] = reply
        ended = commands.classify(tmp_path / "photos", "--server", host.url("/sub"), "--json")
    assert ended.code == 0
    assert [json.loads(line)["class"] for line in ended.out.splitlines()] == ["cat", "cat"]
    assert replies == []
    # The version that answered first is asked for everything else.
    assert "model=m%403" in host.heads[-1]


def test_nobody_there_is_one_line(commands: Commands, tmp_path: Path) -> None:
    (path,) = photos_in(tmp_path / "photos", [24])
    url = f"http://127.0.0.1:{free_port()}"
    ended = commands.classify(path, "--server", url, "--out", tmp_path / "x.csv")
    assert ended.complaint == f"viewfinder: no server can be reached at {url}\n"
    with hosting({"/health/live": answer(b"<html>")}) as host:
        ended = commands.classify(path, "--server", host.url())
    assert "is no Viewfinder" in ended.complaint
    assert {found.name for found in tmp_path.iterdir()} == {"home", "photos"}


@pytest.mark.parametrize("url", ["here:8000", "ftp://here", "http://", "http://[::1", "http://h:x"])
def test_what_is_no_address_of_a_server_is_wrong_usage(
    commands: Commands, tmp_path: Path, url: str
) -> None:
    (path,) = photos_in(tmp_path / "photos", [24])
    ended = commands.classify(path, "--server", url)
    assert ended.code == 2
    assert "--server" in ended.complaint


def test_a_password_in_the_address_is_refused_and_not_shown(
    commands: Commands, tmp_path: Path
) -> None:
    (path,) = photos_in(tmp_path / "photos", [24])
    complaint = commands.classify(path, "--server", "http://me:secret@127.0.0.1:1").complaint
    assert "no user name" in complaint
    assert "secret" not in complaint


async def _codes(host: Host, photos: Sources) -> list[str]:
    asked = {"top_k": 5}
    async with answering_there(host.url(), None, Limits(), asked, retries=IMPATIENT) as remote:
        return [line["error"]["code"] async for _, line in answers(photos.photos, remote)]


async def test_a_photo_that_nobody_took_has_its_own_error(tmp_path: Path) -> None:
    photos_in(tmp_path / "photos", [24, 28])
    photos = Sources([str(tmp_path / "photos")], Settings())
    for given in (
        lambda connection: connection.close(),
        answer(b"<html>"),
        answer(b"[]", "500 No"),
    ):
        with hosting({"/health/live": LIVE, "/v1/classify?top_k=5": given}) as host:
            assert await _codes(host, photos) == ["not_ready", "not_ready"]


async def test_a_server_that_has_gone_ends_the_run(tmp_path: Path) -> None:
    photos_in(tmp_path / "photos", range(100))
    photos = Sources([str(tmp_path / "photos")], Settings())

    def hang_up(connection: socket.socket) -> None:
        connection.close()

    with (
        hosting({"/health/live": LIVE, "/v1/classify?top_k=5": hang_up}) as host,
        pytest.raises(RemoteError, match="no longer be reached"),
    ):
        await _codes(host, photos)


async def test_what_is_over_the_limit_is_not_sent(tmp_path: Path) -> None:
    (path,) = photos_in(tmp_path / "photos", [24])
    path.write_bytes(b"x" * 2000)
    settings = Settings(limits=Limits(image_bytes=1000))
    photos = Sources([str(path)], settings)
    with hosting({"/health/live": LIVE}) as host:
        async with answering_there(host.url(), None, settings.limits, {}) as remote:
            found = [line async for _, line in answers(photos.photos, remote)]
    assert found[0]["error"]["code"] == "payload_too_large"
    assert host.connections == 1


def test_the_key_is_not_shown(commands: Commands) -> None:
    commands.set(API_KEY=KEY)
    assert KEY not in repr(Settings())
    assert KEY not in str(Settings().model_dump())


@pytest.mark.parametrize("key", ["two words", "caf\u00e9", "line\nbreak"])
def test_a_key_that_no_header_can_hold_is_refused(
    commands: Commands, tmp_path: Path, key: str
) -> None:
    (path,) = photos_in(tmp_path / "photos", [24])
    commands.set(API_KEY=key)
    ended = commands.classify(path)
    assert ended.code == 2
    assert "the setting api_key is not valid" in ended.complaint
    assert key not in ended.err


def test_an_empty_key_is_none(commands: Commands, tmp_path: Path) -> None:
    commands.set(API_KEY="")
    assert commands.classify(*photos_in(tmp_path / "photos", [24])).code == 0
