"""PostgreSQL away or hanging: photos are answered, keys count, and no record is lost."""

import asyncio
import importlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.faults.service import BOOTSTRAP, MANY, PATIENCE_S, Asked, asking_one, is_refused
from tests.postgres import PostgresServer, running_postgres
from tests.support import eventually, fake_bundle, run_command, serving_here

from viewfinder.settings import AuthSettings, DatabaseSettings, Settings

GOES_ON = "the database cannot be used; the keys known so far go on to count"
NO_KEYS = "the database cannot be used; no key of it counts before it is back"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that only these tests stop; each leaves it running."""
    with running_postgres() as running:
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The home of a server, with a bootstrap key."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / "key").write_text(BOOTSTRAP)
    return folder


def _database(server: PostgresServer, home: Path) -> tuple[str, str]:
    """The address of a database with its tables, and a key in it."""
    url = server.new_database()
    assert run_command("db", "upgrade", home=home, DATABASE__URL=url).returncode == 0
    made = run_command(
        "keys", "create", "robot", "--scope", "classify", "--scope", "read", home=home,
        DATABASE__URL=url,
    )  # fmt: skip
    return url, made.stdout.strip().splitlines()[-1]


def _recorded(url: str) -> int:
    psycopg = importlib.import_module("psycopg")
    with psycopg.connect(url) as connection:
        count: int = connection.execute("SELECT count(*) FROM results").fetchone()[0]
    return count


def test_a_server_starts_without_postgresql_and_finds_it_when_it_comes(
    server: PostgresServer, home: Path
) -> None:
    url, key = _database(server, home)
    server.stop()
    settings: dict[str, Any] = {"AUTH__ENABLED": True, "AUTH__BOOTSTRAP_KEY_FILE": home / "key"}
    with asking_one(home, key=BOOTSTRAP, DATABASE__URL=url, **settings) as asked:
        answers = [asked.classify() for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        wrong = asked.until_wrong("keys", "results", "jobs")
        assert wrong["keys"] == NO_KEYS
        assert wrong["results"] == "the database cannot be used; 3 results wait, 0 are lost"
        assert wrong["jobs"] == "waiting for the database or the blobs"
        assert is_refused(asked.ask("GET", "/v1/results"))
        assert is_refused(asked.ask("POST", "/v1/jobs", files=[("files", b"x")]))
        assert is_refused(asked.classify(X_API_Key=key))
        assert asked.classify(X_API_Key="no key at all").status_code == 401
        server.start()
        asked.until_ready()
        assert asked.classify(X_API_Key=key).status_code == 200
        eventually(lambda: _recorded(url) == 4)


def test_what_can_never_work_stops_the_start(
    tmp_path: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = server.new_database()
    for given, says in (
        ({"DATABASE__URL": "mysql://u:hunter2@h/n"}, "database.url is not valid: mysql://u:***@h"),
        ({"BLOBS__URL": "ftp://h"}, "blobs.url is not valid"),
        ({"DATABASE__URL": bare, "AUTH__ENABLED": "true"}, "run `viewfinder db upgrade`"),
    ):
        _stops(tmp_path, says, **given)
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "psycopg.py").write_text("raise ModuleNotFoundError(name='psycopg')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "absent"), prepend=":")
    _stops(tmp_path, "pip install 'viewfinder[postgres]'", DATABASE__URL="postgresql://h/n")


def _stops(home: Path, says: str, **settings: Any) -> None:
    done = run_command("serve", "--port", "0", home=home, **settings)
    assert done.returncode in {1, 2}
    assert says in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def _processes(server: PostgresServer) -> list[psutil.Process]:
    parent = psutil.Process(server.server.get_pid())
    return [parent, *parent.children(recursive=True)]


def _kill(server: PostgresServer) -> Callable[[], None]:
    processes = _processes(server)
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=30)
    return server.start


def _hang(server: PostgresServer) -> Callable[[], None]:
    processes = _processes(server)

    def send(number: int) -> None:
        for process in processes:
            process.send_signal(number)

    send(signal.SIGSTOP)
    return lambda: send(signal.SIGCONT)


@pytest.mark.parametrize("spoil", [_kill, _hang])
def test_photos_are_answered_while_postgresql_is_away(
    server: PostgresServer,
    home: Path,
    spoil: Callable[[PostgresServer], Callable[[], None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("viewfinder.storage.database._PATIENCE_S", 1.5)
    monkeypatch.setattr("viewfinder.storage.database._HANGS_S", 1.0)  # less than that, as ever
    url, key = _database(server, home)
    fake_bundle(home / "models")
    settings = Settings(
        home=home,
        threads=1,
        models=("fake",),
        database=DatabaseSettings(url=url),
        auth=AuthSettings(enabled=True, refresh_s=0.2),
    )
    with serving_here(settings) as running:
        asked = Asked(running, key)
        asked.until_ready()
        first = asked.classify().json()["id"]
        assert asked.ask("GET", f"/v1/results/{first}").status_code == 200
        mend = spoil(server)
        try:
            asked.classify_many()
            assert asked.until_wrong("keys", "results", "jobs")["keys"] == GOES_ON
            _refuse_at_once(asked, first)
        finally:
            mend()
        asked.until_ready()
        assert asked.ask("GET", f"/v1/results/{first}").status_code == 200
        eventually(lambda: _recorded(url) == 1 + MANY)
        asked.close()


def _refuse_at_once(asked: Asked, result: str) -> None:
    """Who needs the database is refused; most without waiting for it."""
    began = time.monotonic()
    answers = [asked.ask("GET", f"/v1/results/{result}") for _ in range(MANY)]
    assert time.monotonic() - began < PATIENCE_S  # each waiting: a minute at the least
    assert all(is_refused(answer) for answer in answers)


async def test_many_who_ask_one_that_hangs_wait_together(
    server: PostgresServer, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viewfinder.storage.database._PATIENCE_S", 1.5)
    monkeypatch.setattr("viewfinder.storage.database._HANGS_S", 1.0)  # less than that, as ever
    link_module: Any = importlib.import_module("viewfinder.storage.link")
    errors: Any = importlib.import_module("viewfinder.errors")
    url, _ = await asyncio.to_thread(_database, server, home)
    mend = _hang(server)
    link = link_module.DatabaseLink(Settings(home=home, database=DatabaseSettings(url=url)))
    try:
        async with asyncio.timeout(PATIENCE_S):
            told = await asyncio.gather(*(link.open() for _ in range(100)), return_exceptions=True)
            assert all(isinstance(error, errors.DatabaseError) for error in told)
    finally:
        mend()
    async with asyncio.timeout(PATIENCE_S):
        while isinstance(link._failure, tuple):
            await asyncio.gather(link.open(), return_exceptions=True)
            await asyncio.sleep(0.05)
    await link.close()
