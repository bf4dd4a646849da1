"""Where `viewfinder classify` takes photos from."""

import json
import shutil
import zipfile
from pathlib import Path

from tests.cli.commands import Commands, lines_of, photos_in
from tests.jobs.zips import zipped
from tests.net.hosts import answer, hosting, redirect
from tests.support import grey, photo


def test_a_zip(commands: Commands, tmp_path: Path) -> None:
    archive, out = tmp_path / "photos.ZIP", tmp_path / "x.jsonl"
    content = {"b/2.png": grey(136), "1.png": grey(24), "notes.txt": b"none", ".x/3.png": b"none"}
    archive.write_bytes(zipped(content))
    assert commands.classify(archive, "--out", out).code == 0
    assert [(line["path"], line["class"]) for line in lines_of(out)] == [
        (f"{archive}/b/2.png", "step-8"),
        (f"{archive}/1.png", "step-1"),
    ]


def test_a_broken_entry_fails_alone(commands: Commands, tmp_path: Path) -> None:
    archive, out = tmp_path / "photos.zip", tmp_path / "x.jsonl"
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("1.png", "2.png", "3.png"):
            file.writestr(name, grey(24))
    data = bytearray(archive.read_bytes())
    data[data.index(b"2.png") + 40] ^= 0xFF  # inside the second photo
    archive.write_bytes(data)
    ended = commands.classify(archive, "--out", out)
    assert ended.code == 0
    first, second, third = lines_of(out)
    assert "damaged in its archive" in second["error"]["detail"]
    assert first["class"] == third["class"] == "step-1"


def test_a_hostile_zip_is_one_line(commands: Commands, tmp_path: Path) -> None:
    for name, content in {
        "outside.zip": zipped({"../../x.png": grey(24)}),
        "none.zip": b"PK\3\4 and nothing more",
        "empty.zip": zipped({}),
    }.items():
        archive = tmp_path / name
        archive.write_bytes(content)
        ended = commands.classify(archive, "--out", tmp_path / "x.jsonl")
        assert ended.code == 1
        assert ended.complaint.startswith(f"viewfinder: {archive}: The archive ")
    assert not (tmp_path / "x.jsonl").exists()


def test_a_zip_without_photos(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(zipped({"notes.txt": b"none"}))
    assert "no photos found" in commands.classify(tmp_path / "x.zip").complaint


def test_an_address(commands: Commands) -> None:
    with hosting({"/a.png?size=1": answer(grey(24)), "/b": redirect("/a.png?size=1")}) as host:
        ended = commands.classify(host.url("/a.png?size=1"), host.url("/b"), "--json")
    assert ended.code == 0
    first, second = map(json.loads, ended.out.splitlines())
    assert first["path"] == host.url("/a.png?size=1")
    assert first["class"] == second["class"] == "step-1"
    assert second["path"] == host.url("/b")


def test_an_address_without_a_photo_fails_alone(commands: Commands, tmp_path: Path) -> None:
    (path,) = photos_in(tmp_path / "photos", [24])
    with hosting({"/page": answer(b"<!doctype html>")}) as host:
        ended = commands.classify(host.url("/page"), host.url("/none"), path, "--json")
    assert ended.code == 0
    page, none, there = map(json.loads, ended.out.splitlines())
    assert page["error"]["code"] == "unsupported_media_type"
    assert none["error"]["code"] == "fetch_failed"
    assert there["class"] == "step-1"


def test_what_is_named_twice_is_answered_once(commands: Commands, tmp_path: Path) -> None:
    path, _ = photos_in(tmp_path / "photos", [24, 136])
    ended = commands.classify(path, tmp_path / "photos", path, "--json")
    assert [json.loads(line)["class"] for line in ended.out.splitlines()] == ["step-1", "step-8"]


def test_a_folder_without_photos(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "photos" / "album.jpg").mkdir(parents=True)
    (tmp_path / "photos" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    ended = commands.classify(tmp_path / "photos", "--out", tmp_path / "x.csv")
    assert ended.code == 1
    assert "no photos found" in ended.complaint


def test_a_photo_that_cannot_be_read_fails_alone(commands: Commands, tmp_path: Path) -> None:
    (path,) = photos_in(tmp_path / "photos", [24])
    ended = commands.classify(path, tmp_path, "/proc/self/mem", "--json")
    assert ended.code == 0
    assert json.loads(ended.out.splitlines()[-1])["error"]["detail"] == "The file cannot be read."


def test_files_folders_and_archives_in_the_order_named(commands: Commands, tmp_path: Path) -> None:
    photos_in(tmp_path / "folder", [24, 136])
    shutil.copy(tmp_path / "folder" / "001.png", tmp_path / "z.png")
    (tmp_path / "a.zip").write_bytes(zipped({"1.jpg": photo("cat.jpg")}))
    named = [tmp_path / name for name in ("z.png", "a.zip", "folder")]
    ended = commands.classify(*named, "--json")
    assert [json.loads(line)["path"] for line in ended.out.splitlines()] == [
        str(tmp_path / name)
        for name in ("z.png", "a.zip/1.jpg", "folder/000.png", "folder/001.png")
    ]
