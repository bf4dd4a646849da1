"""What `viewfinder classify` writes, read back by those who would read it."""

import csv
import json
import os
import shutil
from importlib import import_module
from pathlib import Path

import pytest
from tests.cli.commands import Commands, lines_of, photos_in
from tests.support import grey

from viewfinder.cli.batch import parquet as parquet_file
from viewfinder.cli.batch.parquet import parquet

MODEL = {"name": "fake", "version": 1, "variant": "only"}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _three(folder: Path) -> None:
    """Two photos, and what is none."""
    photos_in(folder, [24, 136])
    (folder / "broken.jpg").write_bytes(b"no")


def test_lines_of_json(commands: Commands, tmp_path: Path) -> None:
    _three(tmp_path / "photos")
    out = tmp_path / "x.jsonl"
    ended = commands.classify(tmp_path / "photos", "--out", out, "--top-k", 2)
    assert ended.code == 0
    first, second, broken = lines_of(out)
    assert first["path"] == str(tmp_path / "photos" / "000.png")
    assert [first["class"], second["class"]] == ["step-1", "step-8"]
    assert first["classes"][0]["class"] == "step-1"
    assert len(first["classes"]) == 2
    assert first["model"] == MODEL
    assert first["abstained"] is False
    assert broken.keys() == {"path", "error"}
    assert broken["error"]["code"] == "unsupported_media_type"


def test_csv(commands: Commands, tmp_path: Path) -> None:
    _three(tmp_path / "photos")
    out = tmp_path / "x.csv"
    assert commands.classify(tmp_path / "photos", "--out", out, "--top-k", 3).code == 0
    first, _, broken = _rows(out)
    assert list(first) == [
        *("path", "class", "confidence", "model", "version", "variant", "abstained"),
        *("class_2", "confidence_2", "class_3", "confidence_3"),
        *("error_code", "error_detail"),
    ]
    assert first["path"] == str(tmp_path / "photos" / "000.png")
    assert first["class"] == "step-1"
    assert float(first["confidence"]) > float(first["confidence_2"])
    assert [first[name] for name in ("model", "version", "variant")] == ["fake", "1", "only"]
    assert first["abstained"] == "false"
    assert broken["error_code"] == "unsupported_media_type"
    assert broken["error_detail"]
    assert broken["class"] == broken["model"] == ""


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b"])
def test_no_cell_is_a_formula(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    name = f"{start}cmd|' /C calc'!A0\",;=1+1.png".replace("/", "_")
    (tmp_path / name).write_bytes(grey(8))
    monkeypatch.chdir(tmp_path)
    assert commands.classify(f"./{name}", "--out", tmp_path / "x.csv").code == 0
    (row,) = _rows(tmp_path / "x.csv")
    assert row["path"] == "'" + name
    # Also where semicolons part the cells, what follows one is inside the same quotes.
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        _, cells = csv.reader(file, delimiter=";")
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


@pytest.mark.parquet
def test_parquet(commands: Commands, tmp_path: Path) -> None:
    _three(tmp_path / "photos")
    shutil.copy(tmp_path / "photos" / "000.png", tmp_path / "photos" / os.fsdecode(b"\xe9.png"))
    out = tmp_path / "x.parquet"
    assert commands.classify(tmp_path / "photos", "--out", out, "--top-k", 2).code == 0
    table = import_module("pyarrow.parquet").read_table(out)
    assert {field.name: str(field.type) for field in table.schema} == {
        "path": "string",
        "class": "string",
        "confidence": "double",
        "model": "string",
        "version": "int32",
        "variant": "string",
        "abstained": "bool",
        "classes": "list<element: struct<class: string, index: int32, confidence: double>>",
        "error_code": "string",
        "error_detail": "string",
    }
    first, _, broken, odd = table.to_pylist()
    assert first["class"] == "step-1"
    assert first["classes"][0] == {
        "class": "step-1",
        "index": 1,
        "confidence": first["confidence"],
    }
    assert broken["classes"] is None
    assert broken["error_code"] == "unsupported_media_type"
    assert odd["path"].endswith("\\udce9.png")


@pytest.mark.parquet
def test_parquet_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_file, "_ROWS", 10)
    error = {"code": "invalid_image", "detail": "Damaged."}
    with parquet(tmp_path / "x.parquet", 5) as write:
        for number in range(25):
            write({"path": f"{number}.jpg", "error": error})
    file = import_module("pyarrow.parquet").ParquetFile(tmp_path / "x.parquet")
    assert file.num_row_groups == 3
    assert file.read().column("path").to_pylist() == [f"{number}.jpg" for number in range(25)]


def test_a_missing_extra_is_told_before_any_work(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_file, "_PACKAGE", "no_such_package")
    ended = commands.classify(tmp_path / "no-such-photo.jpg", "--out", tmp_path / "x.parquet")
    assert "pip install 'viewfinder[parquet]'" in ended.complaint
    assert list(tmp_path.iterdir()) == [commands.home]


@pytest.mark.parametrize("name", ["x.doc", "x", "x.json"])
def test_another_suffix_is_wrong_usage(commands: Commands, tmp_path: Path, name: str) -> None:
    (photo,) = photos_in(tmp_path / "photos", [8])
    ended = commands.classify(photo, "--out", tmp_path / name)
    assert ended.code == 2
    assert ".jsonl, .csv, .parquet" in ended.complaint


def test_a_name_that_is_no_utf_8(commands: Commands, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    odd.write_bytes(grey(8))
    assert commands.classify(odd, "--out", tmp_path / "x.jsonl").code == 0
    (line,) = lines_of(tmp_path / "x.jsonl")
    assert line["path"] == str(odd)
    assert commands.classify(odd, "--out", tmp_path / "x.csv").code == 0
    assert _rows(tmp_path / "x.csv")[0]["path"].endswith("caf\\udce9.png")


def test_a_file_that_is_there_is_replaced(commands: Commands, tmp_path: Path) -> None:
    photos = photos_in(tmp_path / "photos", [8])
    (tmp_path / "x.csv").write_text("of last week\n")
    assert commands.classify(*photos, "--out", tmp_path / "x.csv").code == 0
    assert len(_rows(tmp_path / "x.csv")) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"home", "photos", "x.csv"}


def test_the_summary(commands: Commands, tmp_path: Path) -> None:
    _three(tmp_path / "photos")
    photos_in(tmp_path / "photos", [24, 136, 24])
    out = tmp_path / "x.jsonl"
    ended = commands.classify(tmp_path / "photos", "--out", out, "--json")
    lines = ended.err.splitlines()
    assert lines[0].startswith("4 images, 1 failed; 4 in ")
    assert lines[1] == "  1 unsupported_media_type"
    assert lines[2].split()[:3] == ["step-1", "2", "66.7%"]
    assert lines[3].split()[:3] == ["step-8", "1", "33.3%"]
    said = json.loads(ended.out)
    assert {name: said[name] for name in ("images", "failed", "resumed", "model", "out")} == {
        "images": 4,
        "failed": 1,
        "resumed": 0,
        "model": "fake@1",
        "out": str(out),
    }
    assert said["classes"] == {"step-1": 2, "step-8": 1}


def test_failures_are_counted_without_a_file_too(commands: Commands, tmp_path: Path) -> None:
    _three(tmp_path / "photos")
    ended = commands.classify(tmp_path / "photos")
    assert ended.code == 0
    assert ended.err == "1 of 3 images failed\n"


def test_nothing_is_recorded(commands: Commands, tmp_path: Path) -> None:
    commands.set(RECORD="images")
    photos = photos_in(tmp_path / "photos", [8])
    assert commands.classify(*photos, "--out", tmp_path / "x.jsonl").code == 0
    assert [path.name for path in commands.home.iterdir()] == ["models"]
