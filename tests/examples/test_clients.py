"""The examples that ask a server, in three languages, run as their pages say."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.examples.passing import overloaded_once
from tests.faults.service import BOOTSTRAP
from tests.plugins import EXAMPLES
from tests.support import EXPECTED, PHOTOS, Server, fake_bundle, free_port, grey, needs, serving

SCRIPT = str(EXAMPLES / "curl" / "classify.sh")
COMMANDS = {
    "curl": ("sh", SCRIPT, "raw"),
    "javascript": ("node", str(EXAMPLES / "javascript" / "main.mjs")),
    "python": (sys.executable, str(EXAMPLES / "python" / "classify.py")),
}
PACKAGES = {"curl": "curl", "node": "nodejs"}

every = pytest.mark.parametrize("language", COMMANDS)


def _run(*command: str | Path, url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    for program, package in PACKAGES.items():
        if program in {command[0], "curl" if command[1] == SCRIPT else None}:
            needs(f"{program} (apt-get install {package})", met=shutil.which(program) is not None)
    kept = {name: value for name, value in os.environ.items() if name not in {"KEY", "MODEL"}}
    return subprocess.run(
        [*map(str, command)],
        env={**kept, "URL": url, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _labels(language: str, said: str) -> list[str]:
    """What was answered, in its order."""
    if language == "curl":
        return [json.loads(said)["class"]]
    return re.findall(r"^.+: (.+) \d+\.\d%$", said, re.MULTILINE)


# -- all of them


@every
def test_photos_get_their_labels(server: Server, language: str) -> None:
    photos = sorted(PHOTOS.glob("*.jpg"))[: 1 if language == "curl" else None]
    done = _run(*COMMANDS[language], *photos, url=server.url)
    assert (done.returncode, done.stderr) == (0, "")
    labels = _labels(language, done.stdout)
    for photo, label in zip(photos, labels, strict=True):
        assert label in EXPECTED[photo.name]


@every
def test_what_is_no_photo_is_refused_with_its_reason(
    server: Server, tmp_path: Path, language: str
) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("no photo")
    done = _run(*COMMANDS[language], path, url=server.url)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search("unsupported_media_type|not a photo|JPEG", done.stderr), done.stderr


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that asks for a key."""
    home = tmp_path_factory.mktemp("locked")
    fake_bundle(home / "models")
    (home / "key").write_text(BOOTSTRAP)
    given: dict[str, Any] = {"AUTH__ENABLED": "true", "AUTH__BOOTSTRAP_KEY_FILE": home / "key"}
    with serving(home, "--model", "fake", **given) as server:
        yield server


@every
def test_the_key_comes_from_the_environment(locked: Server, tmp_path: Path, language: str) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(grey(200))
    done = _run(*COMMANDS[language], photo, url=locked.url, KEY=BOOTSTRAP)
    assert (done.returncode, done.stderr) == (0, "")
    assert _labels(language, done.stdout) == ["step-12"]
    refused = _run(*COMMANDS[language], photo, url=locked.url)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "key" in refused.stderr


@every
def test_a_server_that_says_when_to_come_again_is_asked_again(
    server: Server, language: str
) -> None:
    with overloaded_once(server.url) as gateway:
        done = _run(*COMMANDS[language], PHOTOS / "espresso.jpg", url=gateway.url)
    assert done.returncode == 0, done.stderr
    assert _labels(language, done.stdout) == ["espresso"]
    assert len(gateway.heads) == 2
    for head in gateway.heads:
        assert 0 < int(head["x-request-timeout-ms"]) <= 60_000


@every
def test_where_nobody_listens_that_is_said(language: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    done = _run(*COMMANDS[language], PHOTOS / "cat.jpg", url=url)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


# -- curl


@pytest.mark.parametrize("how", ["raw", "form"])
def test_curl_asks_the_model_that_is_named(server: Server, how: str) -> None:
    done = _run("sh", SCRIPT, how, PHOTOS / "cat.jpg", url=server.url, MODEL="fake@2")
    model = json.loads(done.stdout)["model"]
    assert (model["name"], model["version"]) == ("fake", 2)


def test_curl_sends_a_form_a_batch_and_a_job_whatever_the_photos_are_called(
    server: Server, tmp_path: Path
) -> None:
    names = ["cat.jpg", 'a "b" \\ c.jpg', "x; type=y, z.jpg"]
    sources = ["cat.jpg", "espresso.jpg", "sandal.jpg"]
    photos = [tmp_path / name for name in names]
    for photo, source in zip(photos, sources, strict=True):
        shutil.copy(PHOTOS / source, photo)
    for photo, source in zip(photos, sources, strict=True):
        done = _run("sh", SCRIPT, "form", photo, url=server.url)
        assert json.loads(done.stdout)["class"] in EXPECTED[source]
    batch = _run("sh", SCRIPT, "batch", *photos, url=server.url)
    results = json.loads(batch.stdout)["results"]
    job = _run("sh", SCRIPT, "job", *photos, url=server.url)
    assert job.returncode == 0, job.stderr
    lines = [json.loads(line) for line in job.stdout.splitlines() if line]
    for answers in (results, lines):
        assert len(answers) == 3
        for answer, source in zip(answers, sources, strict=True):
            assert answer["result"]["class"] in EXPECTED[source]


def test_curl_says_how_it_is_used() -> None:
    for arguments in (["raw"], ["guess", "photo.jpg"]):
        done = _run("sh", SCRIPT, *arguments, url="http://127.0.0.1:1")
        assert done.returncode == 2
        assert done.stderr.startswith("usage: ")


# -- JavaScript


def test_javascript_names_the_photo_that_failed_and_answers_the_others(
    server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("no photo")
    command = COMMANDS["javascript"]
    done = _run(*command, PHOTOS / "espresso.jpg", path, url=server.url)
    assert done.returncode == 1
    assert _labels("javascript", done.stdout) == ["espresso"]
    assert f"{path}: unsupported_media_type: " in done.stderr


def test_javascript_gives_up_when_the_time_is_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes what comes, and says nothing
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        photo = PHOTOS / "cat.jpg"
        done = _run(*COMMANDS["javascript"], photo, url=url, TIMEOUT_MS="500")
    assert done.returncode == 1
    assert done.stderr.startswith("TimeoutError")
