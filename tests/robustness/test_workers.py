"""A worker's death costs only what it had in hand."""

import os
import signal
from pathlib import Path

import psutil
import pytest
from tests.robustness.clients import LOST, Clients
from tests.support import (
    FULL,
    Server,
    asking,
    eventually,
    fake_bundle,
    grey,
    in_full,
    read_answer,
    request_of,
    run_command,
    serving,
    workers_of,
)

PHOTO = request_of(grey(0))
TIMES = in_full(1, 10)


def _store(home: Path) -> None:
    fake_bundle(home / "models", milliseconds=10)


def _replaced(server: Server, dead: int) -> None:
    """Another worker stands in the place of that one, and is ready."""
    ready = _ready(server)
    eventually(lambda: len({*workers_of(server)} - {dead}) == 2, within=60)
    eventually(lambda: _ready(server) > ready)


def _ready(server: Server) -> int:
    """How many workers have said so."""
    return sum("ready: fake" in line for line in server.lines)


def _runs(pid: int) -> bool:
    """Whether it does, and has not ended without anybody to tell."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_killed_under_load_the_service_keeps_answering(tmp_path: Path) -> None:
    _store(tmp_path)
    with serving(tmp_path, "--workers", "2", "--model", "fake") as server:
        eventually(lambda: _ready(server) == 2)
        for _ in range(TIMES):
            with Clients(server.address, PHOTO, kept=4, new=4) as clients:
                clients.go_on(100)
                dead = workers_of(server)[0]
                os.kill(dead, signal.SIGKILL)
                _replaced(server, dead)
                clients.go_on(100)
            # What it had in hand: at most one request, or connection, of each.
            assert clients.kinds.keys() <= {"200", LOST}
            assert clients.kinds[LOST] <= clients.count
        assert server.stop() == 0
    assert "Traceback" not in "\n".join(server.lines)


def test_without_their_supervisor_they_stop_by_themselves(tmp_path: Path) -> None:
    _store(tmp_path)
    with serving(tmp_path, "--workers", "2", "--model", "fake") as server:
        eventually(lambda: len(workers_of(server)) == 2)
        workers = workers_of(server)
        with asking(server, PHOTO) as connection:
            assert read_answer(connection).status == 200
        server.process.kill()
        server.process.wait(30)
        eventually(lambda: not any(_runs(worker) for worker in workers))
    assert "Traceback" not in "\n".join(server.lines)


def test_one_that_hangs_holds_up_neither_the_others_nor_the_end(tmp_path: Path) -> None:
    _store(tmp_path)
    with serving(tmp_path, "--workers", "2", "--model", "fake", DRAIN__TIMEOUT_S=1) as server:
        eventually(lambda: _ready(server) == 2)
        hanging, dying = workers_of(server)
        os.kill(hanging, signal.SIGSTOP)
        os.kill(dying, signal.SIGKILL)
        _replaced(server, dying)
        with Clients(server.address, PHOTO, new=2) as clients:
            clients.go_on(50)
        assert clients.kinds.keys() == {"200"}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 1
        eventually(lambda: not _runs(hanging))


def test_one_that_cannot_start_leaves_the_others_at_work_and_tries_again(tmp_path: Path) -> None:
    _store(tmp_path)
    key = run_command("keys", "create", "robot", home=tmp_path).stdout.strip()
    photo = request_of(grey(0), f"X-API-Key: {key}")
    database, saved = tmp_path / "viewfinder.db", tmp_path / "saved.db"
    with serving(tmp_path, "--workers", "2", "--model", "fake", AUTH__ENABLED="true") as server:
        eventually(lambda: _ready(server) == 2)
        database.rename(saved)
        database.write_text("no database at all, and long enough to be looked at twice" * 100)
        dead, alive = workers_of(server)
        os.kill(dead, signal.SIGKILL)
        eventually(lambda: sum("has died" in line for line in server.lines) >= 3, within=90)
        with Clients(server.address, photo, new=2) as clients:
            clients.go_on(20)
        assert clients.kinds.keys() == {"200"}
        assert _runs(alive)
        saved.replace(database)
        eventually(lambda: _ready(server) == 3, within=90)


def test_when_none_can_start_the_end_says_so(tmp_path: Path) -> None:
    _store(tmp_path)
    (tmp_path / "viewfinder.db").write_text("no database at all" * 100)
    result = run_command(
        "serve", "--port", "0", "--workers", "2", home=tmp_path, AUTH__ENABLED="true"
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr


@pytest.mark.skipif(not FULL, reason="takes half a minute: make soak")
def test_one_that_hangs_for_long_is_replaced(tmp_path: Path) -> None:
    _store(tmp_path)
    with serving(tmp_path, "--workers", "2", "--model", "fake") as server:
        eventually(lambda: _ready(server) == 2)
        hanging = workers_of(server)[0]
        os.kill(hanging, signal.SIGSTOP)
        _replaced(server, hanging)
        assert not _runs(hanging)
        with asking(server, PHOTO) as connection:
            assert read_answer(connection).status == 200
        assert server.stop() == 0
