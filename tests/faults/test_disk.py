"""A full disk: photos are answered, what needs room is refused, and nothing is spoilt."""

import contextlib
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.service import BOOTSTRAP, Asked, asking_one, is_refused
from tests.support import eventually, grey, run_command

MANY_BYTES = 1_000_000
NO_KEYS = "the database cannot be used; no key of it counts before it is back"


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home on a disk of its own, of four megabytes."""
    folder = tmp_path / "home"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:  # in a container it is not given to everybody, also where all else is
        pytest.skip(f"needs the right to mount: {done.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _fill(home: Path) -> None:
    """Take all room, to the last byte."""
    with (home / "filler").open("ab", buffering=0) as file:
        for size in (65536, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size):
                    pass
    assert not os.statvfs(home).f_bavail


def _make_room(home: Path) -> None:
    (home / "filler").unlink()


def _rows(home: Path) -> int:
    """How many results there are; the database must be whole."""
    connection = sqlite3.connect(home / "viewfinder.db")
    with contextlib.closing(connection):
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count: int = connection.execute("SELECT count(*) FROM results").fetchone()[0]
    return count


def test_photos_are_answered_while_the_disk_is_full(home: Path) -> None:
    with asking_one(home, RECORD="images") as asked:
        first = asked.classify().json()["id"]
        eventually(lambda: asked.ask("GET", f"/v1/results/{first}/image").status_code == 200)
        job = asked.ask("POST", "/v1/jobs", files=[("files", grey(1))])
        assert job.status_code == 202
        eventually(lambda: _state(asked, job.json()["id"]) == "succeeded")
        _fill(home)
        asked.classify_many()
        eventually(lambda: _is_told_of(asked))  # the log of the database had some room left
        large = os.urandom(MANY_BYTES)
        assert is_refused(asked.ask("POST", "/v1/jobs", files=[("files", large)]), "overloaded")
        archive = {"archive": ("a.zip", os.urandom(2 * MANY_BYTES))}
        assert is_refused(asked.ask("POST", "/v1/jobs", files=archive), "overloaded")
        feedback = asked.ask("PUT", f"/v1/results/{first}/feedback", json={"label": "a"})
        assert is_refused(feedback)
        assert asked.ask("GET", f"/v1/results/{first}").status_code == 200
        _make_room(home)
        asked.until_ready()
        assert asked.gauges("viewfinder_results_lost_total")[""] == 0
        answered = asked.shown + 1  # the job's image
        eventually(lambda: _rows(home) == answered)
        job = asked.ask("POST", "/v1/jobs", files=[("files", grey(1))])
        eventually(lambda: _state(asked, job.json()["id"]) == "succeeded")


def _is_told_of(asked: Asked) -> bool:
    assert asked.classify().status_code == 200
    return "the database cannot be used" in asked.parts().get("results", "")


def _state(asked: Asked, job: str) -> str:
    state: str = asked.ask("GET", f"/v1/jobs/{job}").json()["state"]
    return state


def test_a_server_starts_on_a_full_disk_and_has_its_keys_when_there_is_room(home: Path) -> None:
    made = run_command("keys", "create", "robot", "--scope", "classify", home=home)
    key = made.stdout.strip().splitlines()[-1]
    (home / "key").write_text(BOOTSTRAP)
    _fill(home)
    settings: dict[str, Any] = {"AUTH__ENABLED": True, "AUTH__BOOTSTRAP_KEY_FILE": home / "key"}
    with asking_one(home, key=BOOTSTRAP, **settings) as asked:
        asked.classify_many()
        wrong = asked.until_wrong("keys", "results", "jobs")
        assert wrong["keys"] == NO_KEYS
        assert is_refused(asked.classify(X_API_Key=key))
        _make_room(home)
        asked.until_ready()
        assert asked.classify(X_API_Key=key).status_code == 200
        eventually(lambda: _rows(home) == asked.shown - 1)
