"""`viewfinder models`: what changes the store."""

import json
import os
import pty
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support import (
    COMMAND,
    DATA,
    PHOTOS,
    environment,
    fake_bundle,
    grey,
    run_command,
    serving,
)


def _json(*arguments: str | Path, home: Path) -> Any:
    done = run_command(*arguments, "--json", home=home)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_version_travels_as_one_file(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", "shoes", 7)
    archive = tmp_path / "shoes.zip"
    _json("models", "export", "shoes@7", archive, home=tmp_path)
    again = tmp_path / "again.zip"
    _json("models", "export", "shoes@7", again, home=tmp_path)
    assert archive.read_bytes() == again.read_bytes()
    there = tmp_path / "there"
    for version in (1, 2):
        published = _json("models", "publish", archive, home=there)
        assert published == {"name": "shoes", "version": version}
    assert _json("models", "publish", archive, "--name", "boots", home=there)["name"] == "boots"
    assert _json("models", "verify", home=there)["models"][-1] == {
        "model": "shoes@2",
        "problem": None,
    }


def test_a_folder_can_be_published_too(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "elsewhere", "shoes", 3)
    moved = bundle.folder.rename(tmp_path / "any-name")
    assert _json("models", "publish", moved, home=tmp_path) == {"name": "shoes", "version": 1}


def test_what_is_damaged_is_not_published(tmp_path: Path) -> None:
    bundle = fake_bundle(tmp_path / "models", "shoes")
    archive = tmp_path / "shoes.zip"
    _json("models", "export", "shoes", archive, home=tmp_path)
    cut = tmp_path / "cut.zip"
    cut.write_bytes(archive.read_bytes()[:-100])
    lacking, bomb = tmp_path / "lacking.zip", tmp_path / "bomb.zip"
    manifest = (bundle.folder / "bundle.json").read_text()
    with zipfile.ZipFile(lacking, "w") as out:
        out.writestr("bundle.json", manifest)
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("bundle.json", manifest)
        out.writestr("graph.json", b"0" * 10_000_000)
    flipped = tmp_path / "flipped.zip"
    content = bytearray(archive.read_bytes())
    content[60:70] = b"\xff" * 10
    flipped.write_bytes(content)
    there = tmp_path / "there"
    for source in (cut, lacking, bomb, flipped, PHOTOS / "cat.jpg", tmp_path):
        done = run_command("models", "publish", source, home=there)
        assert done.returncode == 1, source
        assert done.stderr.count("\n") == 1
    assert not (there / "models").exists()
    assert run_command("models", "publish", tmp_path / "no", home=there).returncode == 2


def test_a_running_server_follows_the_store(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", "shoes", 1)
    with serving(tmp_path, "--model", "shoes", STORE_POLL_S=0.1) as server:

        def answers(version: int) -> bool:
            found = httpx2.post(
                f"{server.url}/v1/classify", files={"file": grey(0)}, trust_env=False
            ).json()
            return bool(found["model"]["version"] == version)

        def becomes(version: int) -> bool:
            return any(answers(version) for _ in range(2000))

        assert answers(1)
        fake_bundle(tmp_path / "elsewhere", "shoes", 2, classes=4)
        _json("models", "publish", tmp_path / "elsewhere" / "shoes" / "2", home=tmp_path)
        assert becomes(2)
        assert _json("models", "rollback", "shoes", home=tmp_path)["aliases"] == {"stable": 1}
        assert becomes(1)
        _json("models", "alias", "shoes", "stable", "2", home=tmp_path)
        assert becomes(2)


def test_an_alias_is_set_and_taken_away(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models", "shoes", 1)
    fake_bundle(tmp_path / "models", "shoes", 2)
    assert _json("models", "alias", "shoes", "best", "2", home=tmp_path)["aliases"] == {"best": 2}
    shown = _json("models", "list", home=tmp_path)["models"]
    assert shown[-1]["aliases"] == {"best": 2, "latest": 2}
    refused = run_command("models", "delete", "shoes@2", home=tmp_path)
    assert (refused.returncode, "alias best" in refused.stderr.lower()) == (1, True)
    assert _json("models", "alias", "shoes", "best", "--delete", home=tmp_path)["aliases"] == {}
    _json("models", "delete", "shoes@2", home=tmp_path)
    assert [p.name for p in sorted((tmp_path / "models" / "shoes").glob("[0-9]*"))] == ["1"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("alias", "shoes", "latest", "1"), 2, "computed"),
        (("alias", "shoes", "7", "1"), 2, "not a number"),
        (("alias", "shoes", "best"), 2, "--delete"),
        (("alias", "shoes", "best", "9"), 1, "no version 9"),
        (("alias", "boots", "best", "1"), 1, "no model 'boots'"),
        (("rollback", "shoes"), 1, "no version to go back to"),
        (("delete", "shoes"), 2, "NAME@VERSION"),
        (("delete", "shoes@9"), 1, "no version 9"),
        (("delete", "efficientnet-lite0@1"), 1, "comes with Viewfinder"),
        (("verify", "shoes@9"), 1, "no version 9"),
        (("export", "boots"), 1, "no model 'boots'"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    fake_bundle(tmp_path / "models", "shoes", 1)
    done = run_command("models", *arguments, home=tmp_path)
    assert done.returncode == code
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_verify_finds_what_is_broken(tmp_path: Path) -> None:
    (fake_bundle(tmp_path / "models", "shoes").folder / "graph.json").write_text("{}")
    done = run_command("models", "verify", home=tmp_path)
    assert done.returncode == 1
    assert "checksum" in done.stdout


def test_a_foreign_graph_works_by_one_command(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    graph = DATA / "foreign-uint8.tflite"
    imported = _json("models", "import", graph, "--labels", labels, home=tmp_path)
    assert imported == {"name": "foreign-uint8", "version": 1}
    done = run_command(
        "classify", PHOTOS / "espresso.jpg", "--model", "foreign-uint8", home=tmp_path
    )
    assert done.stdout.startswith("red")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "--labels"),
        (("--labels", "no.txt"), "no.txt is not a file"),
        (("--scaling", "odd", "--labels", "labels.txt"), "--scaling is one of"),
        (("--output", "odd", "--labels", "labels.txt"), "--output is one of"),
        (("--resize", "odd", "--labels", "labels.txt"), "--resize"),
        (("--name", "No Name", "--labels", "labels.txt"), "--name"),
        (("--labels", "labels.txt"), "--scaling none|0-1|-1-1|imagenet|caffe"),
    ],
)
def test_import_asks_for_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("labels.txt").write_text("red\ngreen\nblue\n")
    graph = DATA / "foreign-float.tflite"
    done = run_command("models", "import", graph, *arguments, home=tmp_path)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_on_a_terminal_import_asks_the_person(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("red\ngreen\nblue\n")
    person, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            [COMMAND, "models", "import", str(DATA / "foreign-float.tflite")],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment(tmp_path),
        )
        os.write(person, f"{labels}\n-1-1\n".encode())
        assert process.wait(60) == 0
        said = os.read(person, 65536).decode()
    finally:
        os.close(person)
        os.close(terminal)
    assert "The file of labels" in said
    assert "foreign-float@1 is published" in said
