"""What a server records of what it answers, and what it says of that."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from tests.results.answers import rows_in
from tests.support import (
    LocalServer,
    Server,
    eventually,
    fake_bundle,
    grey,
    run_command,
    serving,
    serving_here,
)

from viewfinder.results.images import image_key
from viewfinder.settings import AuthSettings, DatabaseSettings, ResultSettings, Settings

_AWAY = DatabaseSettings(url="postgresql://nobody@127.0.0.1:1/none")


@contextmanager
def _serving(home: Path, **options: Any) -> Iterator[LocalServer]:
    if not (home / "models").exists():
        fake_bundle(home / "models")
    with serving_here(
        Settings(home=home, default_model="fake", models=("fake",), threads=1, **options)
    ) as server:
        yield server


def _post(server: LocalServer | Server, path: str = "/v1/classify", **body: Any) -> httpx2.Response:
    answer = httpx2.post(f"{server.url}{path}", timeout=30, trust_env=False, **body)
    assert answer.is_success, answer.text
    return answer


def _ready(server: LocalServer) -> Any:
    answer = httpx2.get(f"{server.url}/health/ready", trust_env=False)
    assert answer.status_code == 200
    return answer.json()


def test_every_answer_is_recorded_once(tmp_path: Path) -> None:
    again = {"Idempotency-Key": "a", "Content-Type": "image/png"}
    forms = [("files", (f"{n}.png", grey(n))) for n in (60, 70)]
    with _serving(tmp_path) as server:
        first = _post(server, content=grey(10), headers=again).json()
        assert _post(server, content=grey(10), headers=again).json() == first
        cached = _post(server, files={"file": grey(10)}).json()
        batch = _post(server, "/v1/batch-classify", files=[*forms, ("files", b"none")]).json()
        assert _ready(server)["parts"]["results"] == "ready"
    kept = rows_in(Settings(home=tmp_path))
    answers = [first, cached, *(one["result"] for one in batch["results"][:2])]
    assert {row["id"] for row in kept} == {answer["id"] for answer in answers}
    assert {row["id"] for row in kept if row["cached"]} == {cached["id"]}
    assert kept[0]["image_sha256"] == hashlib.sha256(grey(10)).hexdigest()
    assert {row["owner"] for row in kept} == {None}


def test_it_is_recorded_whose_key_asked(tmp_path: Path) -> None:
    key = run_command("keys", "create", "robot", "--scope", "classify", home=tmp_path)
    token = key.stdout.strip().splitlines()[-1]
    with _serving(tmp_path, auth=AuthSettings(enabled=True)) as server:
        _post(server, files={"file": grey(10)}, headers={"Authorization": f"Bearer {token}"})
    (row,) = rows_in(Settings(home=tmp_path))
    assert row["owner"] == f"key:{token[3:15]}"


def test_images_are_stored_where_that_is_asked_for(tmp_path: Path) -> None:
    with _serving(tmp_path, record="images", results=ResultSettings(image_side=64)) as server:
        ids = [_post(server, files={"file": grey(n, (200, 100))}).json()["id"] for n in (10, 250)]
    kept = rows_in(Settings(home=tmp_path))
    assert [row["id"] for row in kept] == ids
    for row in kept:
        path = tmp_path / "blobs" / image_key(row["id"])
        assert path.stat().st_size == row["stored_bytes"]
        assert path.stat().st_mode & 0o077 == 0
        assert Image.open(BytesIO(path.read_bytes())).size == (64, 32)


def test_a_server_whose_database_is_away_answers_and_says_so(tmp_path: Path) -> None:
    limits = ResultSettings(buffer=2)
    with _serving(tmp_path, database=_AWAY, results=limits) as server:
        for brightness in (10, 20, 30):
            _post(server, files={"file": grey(brightness)})
        recorder = server.services.recorder
        assert recorder is not None
        eventually(lambda: recorder.failures)
        ready = _ready(server)
    assert ready["status"] == "degraded"
    ready["parts"].pop("jobs", None)  # which have found it out too, or not yet
    assert ready["parts"] == {
        "model": "ready",
        "compute": "ready",
        "model fake": "ready",
        "results": "the database cannot be used; 2 results wait, 1 are lost",
    }


def test_who_wants_no_records_gets_none(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with serving(tmp_path, "--model", "fake", RECORD="none") as server:
        for _ in range(3):
            _post(server, files={"file": grey(10)})
        ready = httpx2.get(f"{server.url}/health/ready", trust_env=False).json()
        assert "results" not in ready["parts"]
        assert server.stop() == 0
        assert not [line for line in server.lines if "result" in line]
    assert not (tmp_path / "viewfinder.db").exists()


def test_a_server_that_is_told_to_stop_writes_what_waits(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    with serving(tmp_path, "--model", "fake") as server:
        for brightness in range(40):
            _post(server, files={"file": grey(brightness)})
        assert server.stop() == 0
    assert len(rows_in(Settings(home=tmp_path))) == 40


def test_the_command_line_records_nothing(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    (tmp_path / "photo.png").write_bytes(grey(10))
    done = run_command(
        "classify", tmp_path / "photo.png", "--model", "fake", home=tmp_path, RECORD="images"
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "viewfinder.db").exists()
    assert not (tmp_path / "blobs").exists()


def test_what_was_recorded_before_is_let_go_of_where_nothing_is_recorded_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _serving(tmp_path) as server:
        _post(server, files={"file": grey(10)})
    settings = Settings(home=tmp_path)
    assert len(rows_in(settings)) == 1
    monkeypatch.setattr("viewfinder.results.retention._FIRST_S", 0.0)
    monkeypatch.setattr("viewfinder.results.retention._EVERY_S", 0.05)
    with _serving(tmp_path, record="none", results=ResultSettings(keep_days=1e-9)):
        eventually(lambda: not rows_in(settings))


def test_retention_that_fails_is_said(tmp_path: Path) -> None:
    with _serving(tmp_path) as server:
        retention = server.services.retention
        assert retention is not None
        retention.failing = True
        ready = _ready(server)
    assert ready["status"] == "degraded"
    assert ready["parts"]["retention"] == "old results cannot be let go of"
