"""`GET /v1/results/export`: a real server sends what people have reviewed."""

import io
import json
import threading
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support import (
    LocalServer,
    Server,
    eventually,
    fake_bundle,
    grey,
    photo,
    run_command,
    serving,
    serving_here,
)

from viewfinder.api.services import Services
from viewfinder.app.services import build_services
from viewfinder.blobs.store import FolderBlobs
from viewfinder.results.reviewed import SIDE_BY_SIDE
from viewfinder.settings import Settings

EXPORT = "/v1/results/export"
PHOTOS = {"cat.jpg": "Katze", "espresso.jpg": "espresso", "rocket.jpg": "Katze"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    fake_bundle(folder / "models")
    fake_bundle(folder / "models", "other")
    return folder


@pytest.fixture(scope="module")
def storing(home: Path) -> Iterator[Server]:
    """A server that stores photos."""
    with serving(home, "--model", "fake", RECORD="images") as server:
        yield server


@pytest.fixture(scope="module")
def http(storing: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=storing.url, timeout=60, trust_env=False) as client:
        review(client, map(photo, PHOTOS), PHOTOS.values())
        review(client, [grey(0)], ["grey"], model="other")
        yield client


def review(
    http: httpx2.Client, images: Iterable[bytes], labels: Iterable[str], *, model: str = "fake"
) -> None:
    """Have photos answered and stored, and say what they show."""
    query = {"model": model}
    answers = [
        http.post("/v1/classify", files={"file": image}, params=query).json() for image in images
    ]
    for answer, label in zip(answers, labels, strict=True):
        path = f"/v1/results/{answer['id']}"
        eventually(partial(_is_stored, http, path))
        assert http.put(f"{path}/feedback", json={"label": label}).status_code == 200


def _is_stored(http: httpx2.Client, path: str) -> bool:
    return bool(http.get(path).json()["image"]["stored"])


def _unpacked(answer: httpx2.Response, folder: Path) -> zipfile.ZipFile:
    assert answer.status_code == 200
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    archive.extractall(folder)
    return archive


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_the_zip_is_what_the_command_writes_and_what_training_takes(
    http: httpx2.Client, home: Path, tmp_path: Path
) -> None:
    answer = http.get(EXPORT)
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="reviewed.zip"'
    assert answer.headers["Cache-Control"] == "private, no-store"
    archive = _unpacked(answer, tmp_path / "zip")
    assert json.loads(archive.comment) == {"written": 4, "without_image": 0, "unfit": 0}
    command = run_command("data", "export", tmp_path / "folder", "--reviewed", home=home)
    assert command.returncode == 0, command.stderr
    files = _files(tmp_path / "zip")
    assert files == _files(tmp_path / "folder")
    assert {name.partition("/")[0] for name in files} == {"Katze", "espresso", "grey"}
    checked = run_command("data", "check", tmp_path / "zip", "--json", home=home)
    assert checked.returncode == 0, checked.stderr
    assert json.loads(checked.stdout)["photos"] == 4


def test_it_can_be_of_one_model_and_of_a_span_of_time(http: httpx2.Client, tmp_path: Path) -> None:
    def labels(**query: str) -> list[str]:
        archive = _unpacked(http.get(EXPORT, params=query), tmp_path)
        return [name.partition("/")[0] for name in archive.namelist()]

    assert labels(model="fake") == list(PHOTOS.values())
    assert labels(model="other@1") == ["grey"]
    assert labels(model="other@2") == []
    third = http.get("/v1/results", params={"order": "oldest"}).json()["results"][2]["created"]
    assert labels(since=third, model="fake") == ["Katze"]
    assert labels(until=third) == ["Katze", "espresso"]


@pytest.mark.parametrize("query", ["model=..%2f", "model=fake@stable", "since=2026", "until=x"])
def test_hostile_parameters_are_refused(http: httpx2.Client, query: str) -> None:
    answer = http.get(f"{EXPORT}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_parameter")


class HeldBlobs(FolderBlobs):
    """A folder that gives some images, and the others when it is told to, or never."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.given = SIDE_BY_SIDE
        self.read = 0
        self.go_on = threading.Event()
        self.lost = False
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes:
        """Read."""
        with self._lock:
            self.read += 1
            is_held = self.read > self.given
        if is_held:
            assert self.go_on.wait(30)
            if self.lost:
                raise OSError("no such bucket: secret-name")
        return super().get(key)


@pytest.fixture
def held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LocalServer, Any]]:
    """A server with three times as many reviewed photos as are read at once, and its images."""
    fake_bundle(tmp_path / "models")
    blobs = HeldBlobs(tmp_path / "blobs")
    really = build_services

    def build(settings: Settings, **options: Any) -> Services:
        return replace(really(settings, **options), blobs=blobs)

    monkeypatch.setattr("viewfinder.app.application.build_services", build)
    settings = Settings(home=tmp_path, default_model="fake", record="images")
    with serving_here(settings) as server:
        with httpx2.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            images = [grey(10 * number) for number in range(3 * SIDE_BY_SIDE)]
            review(client, images, ["grey"] * len(images))
        yield server, blobs


def test_a_client_that_goes_stops_the_reading(held: tuple[LocalServer, HeldBlobs]) -> None:
    server, blobs = held
    with httpx2.stream("GET", server.url + EXPORT, trust_env=False, timeout=60) as answer:
        parts = answer.iter_raw()  # which closes the answer when nobody holds it any more
        assert next(parts).startswith(b"PK\x03\x04")
        eventually(lambda: blobs.read == 2 * SIDE_BY_SIDE)
    eventually(lambda: not server.requests)
    blobs.go_on.set()
    assert blobs.read == 2 * SIDE_BY_SIDE


def test_images_that_cannot_be_read_are_told_and_later_on_cut_the_answer_off(
    held: tuple[LocalServer, HeldBlobs],
) -> None:
    server, blobs = held
    blobs.lost = True
    blobs.go_on.set()
    with pytest.raises(httpx2.RemoteProtocolError):
        httpx2.get(server.url + EXPORT, trust_env=False, timeout=60)
    blobs.given = 0
    answer = httpx2.get(server.url + EXPORT, trust_env=False, timeout=60)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "secret" not in answer.text
