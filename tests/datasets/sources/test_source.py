"""Folders and tables to data sets."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from tests.datasets.sets import blobs, write, write_set

from viewfinder.datasets.sources.source import read_dataset
from viewfinder.errors import DatasetError

_PHOTO = b"nobody looks inside"


def _touch(folder: Path, *names: str) -> Path:
    for name in names:
        write(folder / name, _PHOTO)
    return folder


def _refused(source: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read_dataset(source)
    assert "\n" not in caught.value.detail
    return caught.value.detail


def _named(source: Path) -> list[tuple[str, str, str | None]]:
    folder = source if source.is_dir() else source.parent
    return [
        (photo.path.relative_to(folder).as_posix(), photo.label, photo.split)
        for photo in read_dataset(source).photos
    ]


# Folders


def test_a_folder_for_each_class(tmp_path: Path) -> None:
    _touch(tmp_path, "dog/b.JPG", "dog/a.heic", "cat/deep/er/c.png", "cat/d.webp")
    dataset = read_dataset(tmp_path)
    assert dataset.labels == ("cat", "dog")
    assert not dataset.is_split
    assert _named(tmp_path) == [
        ("cat/d.webp", "cat", None),
        ("cat/deep/er/c.png", "cat", None),
        ("dog/a.heic", "dog", None),
        ("dog/b.JPG", "dog", None),
    ]


@pytest.mark.parametrize("validation", ["validation", "val", "valid", "Validation"])
def test_folders_of_splits_with_the_classes_inside(tmp_path: Path, validation: str) -> None:
    _touch(tmp_path, "TRAIN/cat/1.jpg", "TRAIN/dog/1.jpg", f"{validation}/cat/2.jpg")
    _touch(tmp_path, "test/dog/3.jpg", "README.md")
    dataset = read_dataset(tmp_path)
    assert dataset.labels == ("cat", "dog")
    assert [len(dataset.of(split)) for split in ("train", "validation", "test")] == [2, 1, 1]
    assert dataset.passed_over == (tmp_path / "README.md",)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    _touch(tmp_path, "train/1.jpg", "plane/1.jpg", "car/1.jpg")
    assert read_dataset(tmp_path).labels == ("car", "plane", "train")


def test_what_systems_leave_behind_is_passed_over_and_other_files_are_counted(
    tmp_path: Path,
) -> None:
    _touch(tmp_path, "a/1.jpg", "b/1.jpg", "__MACOSX/a/1.jpg", ".cache/x/1.jpg")
    _touch(tmp_path, "a/Thumbs.db", "a/.DS_Store", "a/._1.jpg", "b/@eaDir/1.jpg", "b/notes.txt")
    dataset = read_dataset(tmp_path)
    assert dataset.labels == ("a", "b")
    assert len(dataset.photos) == 2
    assert dataset.passed_over == (tmp_path / "b" / "notes.txt",)


def test_links_are_followed_and_may_lead_in_circles(tmp_path: Path) -> None:
    data = _touch(tmp_path / "data", "a/1.jpg", "b/1.jpg")
    _touch(tmp_path / "elsewhere", "2.jpg")
    (data / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (data / "a" / "up").symlink_to(data / "a")
    (data / "b" / "itself").symlink_to("itself")
    assert [name for name, _, _ in _named(data)] == ["a/1.jpg", "a/more/2.jpg", "b/1.jpg"]


def test_a_link_that_leads_nowhere_is_skipped(tmp_path: Path) -> None:
    _touch(tmp_path, "a/1.jpg", "b/1.jpg")
    (tmp_path / "b" / "2.jpg").symlink_to("nowhere.jpg")
    (skipped,) = read_dataset(tmp_path).skipped
    assert skipped.photo.path.name == "2.jpg"
    assert skipped.reason == "The file cannot be read."


def test_accents_have_one_form(tmp_path: Path) -> None:
    _touch(tmp_path, "cafe\N{COMBINING ACUTE ACCENT}/1.jpg", "tea/1.jpg")
    assert read_dataset(tmp_path).labels == ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "tea")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "has no photos"),
        (["a/notes.txt", "b/notes.txt"], "has no photos"),
        (["1.jpg", "2.jpg"], "no folder for each class"),
        (["a/1.jpg", "a/2.jpg"], "one class only, 'a'"),
        (["a/1.jpg", "b/1.jpg", "c/notes.txt"], "no photos of these classes: c"),
        (["Dog/1.jpg", "dog /1.jpg"], "'Dog' and 'dog' differ only in case"),
        (["t shirt/1.jpg", "tshirt/1.jpg"], "differ only in case or spaces"),
        (["a/1.jpg", f"{'b' * 201}/1.jpg"], "longer than 200"),
        (["a/1.jpg", "b\n/c/1.jpg", "c\nd/1.jpg"], "cannot be shown"),
        (["validation/a/1.jpg", "test/b/1.jpg"], "none in train"),
        (["train/1.jpg", "test/1.jpg"], "no folder for each class"),
        (["train/a/1.jpg", "train/b/1.jpg", "test/c/1.jpg"], "no photos of these classes, which"),
        (["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "valid/a/1.jpg"], "both for validation"),
        (["train/a/1.jpg", "test/a/1.jpg", "docs/a.jpg"], "others beside them: docs"),
    ],
)
def test_a_folder_that_nothing_can_be_learned_from_is_refused(
    tmp_path: Path, names: list[str], said: str
) -> None:
    assert said in _refused(_touch(tmp_path, *names))


def test_what_is_not_there_or_no_data_set_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in _refused(tmp_path / "nowhere")
    assert "not a data set" in _refused(write(tmp_path / "photos.zip", b""))
    assert "cannot be read" in _refused(tmp_path / ("long" * 1000))


def test_a_folder_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    data = _touch(tmp_path / "data", "a/1.jpg", "b/1.jpg")
    (data / "b").chmod(0)
    user = os.geteuid()
    if user == 0:  # who may read everything
        os.seteuid(65534)
    try:
        assert "cannot be read: Permission denied" in _refused(data)
    finally:
        os.seteuid(user)
        (data / "b").chmod(0o700)


def test_a_name_that_is_not_utf_8_cannot_be_a_class(tmp_path: Path) -> None:
    _touch(tmp_path, "a/1.jpg")
    (tmp_path / os.fsdecode(b"b\xff")).mkdir()
    assert "cannot be shown" in _refused(tmp_path)


# Tables


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_of_paths_and_labels(tmp_path: Path, delimiter: str, mark: str) -> None:
    photos = _touch(tmp_path / "photos", "b, b.jpg", "a.jpg")
    rows = [("File", " Label "), ('"photos/b, b.jpg"', " dog "), (str(photos / "a.jpg"), "cat"), ()]
    text = mark + "\r\n".join(delimiter.join(row) for row in rows)
    (tmp_path / "set.csv").write_bytes(text.encode())
    assert _named(tmp_path / "set.csv") == [
        ("photos/a.jpg", "cat", None),
        ("photos/b, b.jpg", "dog", None),
    ]


def test_a_table_may_name_the_splits(tmp_path: Path) -> None:
    _touch(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    write(tmp_path / "set.csv", b"path,label,split\n1.jpg,a,train\n2.jpg,b,Train\n3.jpg,b,val\n")
    assert Counter(split for _, _, split in _named(tmp_path / "set.csv")) == {
        "train": 2,
        "validation": 1,
    }


def test_lines_of_json_also_as_classify_writes_them(tmp_path: Path) -> None:
    _touch(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    lines = [
        {"path": "1.jpg", "label": "a"},
        {"path": "2.jpg", "class": "b", "confidence": 0.9, "classes": []},
        {"path": "3.jpg", "error": {"detail": "The image is empty."}},
    ]
    write(tmp_path / "set.jsonl", "\n\n".join(map(json.dumps, lines)).encode())
    assert _named(tmp_path / "set.jsonl") == [("1.jpg", "a", None), ("2.jpg", "b", None)]
    (skipped,) = read_dataset(tmp_path / "set.jsonl").skipped
    assert skipped.reason == "The image is empty."


def test_csv_also_as_classify_writes_it(tmp_path: Path) -> None:
    _touch(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    table = (
        b'"path","class","error_code","error_detail"\n"1.jpg","a","",""\n"2.jpg","b","",""\n'
        b'"3.jpg","","invalid_image","Damaged."\n'
    )
    write(tmp_path / "set.csv", table)
    assert _named(tmp_path / "set.csv") == [("1.jpg", "a", None), ("2.jpg", "b", None)]
    (skipped,) = read_dataset(tmp_path / "set.csv").skipped
    assert skipped.reason == "Damaged."


def test_files_that_are_missing_are_skipped(tmp_path: Path) -> None:
    _touch(tmp_path, "1.jpg", "2.jpg")
    write(tmp_path / "set.csv", b"path,label\n1.jpg,a\n2.jpg,b\n3.jpg,b\n")
    dataset = read_dataset(tmp_path / "set.csv")
    assert len(dataset.photos) == 2
    assert [one.photo.path.name for one in dataset.skipped] == ["3.jpg"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,split\n1.jpg,train\n", "no column 'label'"),
        ("1.jpg,a\n", "no column 'path'"),
        ("path,label\n1.jpg,a\n2.jpg,\n", "line 3: the label is empty"),
        ("path,label\n1.jpg,a\n\n,b\n", "line 4: there is no path"),
        ("path,label\n1.jpg,a,b\n", "line 2: 3 cells under 2 columns"),
        ("path,label,split\n1.jpg,a,later\n", "line 2: the split is 'later'"),
        ("path,label,split\n1.jpg,a,train\n2.jpg,b,\n", "gives 1 of 2 photos no split"),
        ("path,label\n1.jpg,a\n2.jpg,b\n1.jpg,b\n", "line 4: 1.jpg is 'b' here and 'a' in line 2"),
        ('path,label\n1.jpg,a\n"2.jpg,b\n', "line 3"),
        ("path,label\n8.jpg,a\n9.jpg,b\n", "none of the files that"),
        ("path,label\n1.jpg,a\n9.jpg,b\n", "none of the files of these classes is there: b"),
        ("path,label\n1.jpg,a\n2.jpg,a\n", "one class only"),
        ("path,label\n", "has no photos"),
        ("", "has no photos"),
        ("path,label\n1.jpg,caf\udce9\n", "not UTF-8"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_with_the_line(
    tmp_path: Path, text: str, said: str
) -> None:
    _touch(tmp_path, "1.jpg", "2.jpg")
    write(tmp_path / "set.csv", text.encode(errors="surrogateescape"))
    assert said in _refused(tmp_path / "set.csv")


@pytest.mark.parametrize(
    "line", ["{", "[]", "1", '{"path": "1.jpg"}', '{"path": 1, "label": "a"}', "[" * 100_000]
)
def test_a_line_that_is_not_a_photo_is_refused_with_its_number(tmp_path: Path, line: str) -> None:
    _touch(tmp_path, "1.jpg")
    write(tmp_path / "set.jsonl", f'{{"path": "1.jpg", "label": "a"}}\n{line}\n'.encode())
    assert "set.jsonl, line 2: " in _refused(tmp_path / "set.jsonl")


def test_the_same_line_twice_counts_once(tmp_path: Path) -> None:
    write_set(tmp_path, {"a": 1})
    write(tmp_path / "b.png", blobs(9))
    write(tmp_path / "set.csv", b"path,label\na/000.png,a\nb.png,b\nb.png,b\n")
    assert len(read_dataset(tmp_path / "set.csv").photos) == 2


def test_a_folder_is_called_in_what_json_can_hold(tmp_path: Path) -> None:
    dataset = read_dataset(write_set(tmp_path / "caf\udce9", {"a": 1, "b": 1}))
    assert dataset.name == "caf\\udce9"
    assert dataset.root == dataset.source
