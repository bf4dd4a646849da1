"""What is said of a data set."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.datasets.sets import blobs, write, write_set
from tests.support import encode, photo

from viewfinder.datasets.check import check_dataset
from viewfinder.datasets.findings import Copy, Findings
from viewfinder.datasets.sources.source import read_dataset
from viewfinder.datasets.suspects import wrong_labels
from viewfinder.settings import Limits


def _check(source: Path) -> Findings:
    told: list[tuple[int, int]] = []
    dataset = read_dataset(source)
    findings = check_dataset(
        dataset, limits=Limits(), threads=2, progress=lambda *step: told.append(step)
    )
    assert told == [(n, len(dataset.photos)) for n in range(1, len(dataset.photos) + 1)]
    return findings


def _names(groups: tuple[tuple[Copy, ...], ...], source: Path) -> list[list[str]]:
    return [[str(Path(copy.path).relative_to(source)) for copy in group] for group in groups]


def _big(seed: int) -> Image.Image:
    return blobs(seed, (200, 160))


def test_a_good_data_set_has_no_findings(tmp_path: Path) -> None:
    for number in range(64):
        write(tmp_path / "ab"[number % 2] / f"{number}.png", _big(number))
    findings = _check(tmp_path)
    assert findings.photos == 64
    assert not findings.is_split
    assert [(one.photos, one.train) for one in findings.classes] == [(32, 26), (32, 26)]
    empty = findings.model_dump(
        exclude={"source", "photos", "is_split", "classes", "skew", "model", "wrong_labels"}
    )
    assert set(empty.values()) == {()}
    assert findings.skew is None
    assert findings.wrong_labels is None


def test_copies_leaks_and_conflicts(tmp_path: Path) -> None:
    write_set(tmp_path / "train", {"a": 4, "b": 4})
    write(tmp_path / "train" / "a" / "big.png", _big(99))
    write(tmp_path / "test" / "a" / "other.png", _big(100))
    write(tmp_path / "test" / "b" / "small.jpg", encode(_big(99).resize((100, 80)), "JPEG"))
    shutil.copy(tmp_path / "train" / "b" / "000.png", tmp_path / "train" / "b" / "copy.png")
    findings = _check(tmp_path)
    leaked = ["test/b/small.jpg", "train/a/big.png"]
    assert _names(findings.exact_duplicates, tmp_path) == [["train/b/000.png", "train/b/copy.png"]]
    assert _names(findings.near_duplicates, tmp_path) == [leaked]
    assert _names(findings.leaks, tmp_path) == [leaked]
    assert _names(findings.conflicts, tmp_path) == [leaked]
    assert [(copy.label, copy.split) for copy in findings.leaks[0]] == [
        ("b", "test"),
        ("a", "train"),
    ]


def test_corrupt_and_missing_photos(tmp_path: Path) -> None:
    write_set(tmp_path, {"a": 2, "b": 2})
    write(tmp_path / "a" / "cut.jpg", photo("cat.jpg")[:3000])
    (tmp_path / "b" / "link.jpg").symlink_to("nowhere")
    write(tmp_path / "b" / "notes.txt", b"")
    findings = _check(tmp_path)
    assert [(Path(one.path).name, one.reason) for one in findings.corrupt] == [
        ("cut.jpg", "The JPEG image is damaged and cannot be decoded."),
        ("link.jpg", "The file cannot be read."),
    ]
    assert findings.photos == 4
    assert findings.passed_over == (str(tmp_path / "b" / "notes.txt"),)


def test_tiny_and_skewed_classes(tmp_path: Path) -> None:
    write_set(tmp_path / "train", {"a": 44, "b": 4, "c": 20})
    findings = _check(tmp_path)  # train alone: divided as if nothing were said
    assert [one.label for one in findings.tiny_classes] == ["b", "c"]
    assert findings.skew is not None
    assert (findings.skew.largest, findings.skew.smallest) == ("a", "b")
    assert findings.skew.ratio == 18  # 36 : 2


def test_a_class_with_nothing_to_learn_from_is_tiny_and_not_skewed(tmp_path: Path) -> None:
    write_set(tmp_path, {"a": 2})
    write(tmp_path / "b" / "empty.png", b"")
    findings = _check(tmp_path)
    assert [one.label for one in findings.tiny_classes] == ["a", "b"]
    assert findings.skew is None


def test_suspicious_sizes(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "a" / f"{number}.png", blobs(number, (600, 400)))
    turned = Image.Exif()
    turned[0x0112] = 6
    write(tmp_path / "b" / "icon.png", blobs(20, (63, 64)))
    write(tmp_path / "b" / "small.png", blobs(21, (120, 90)))
    write(tmp_path / "b" / "strip.jpg", encode(blobs(22, (801, 200)), "JPEG", exif=turned))
    found = [(Path(one.path).name, one.width, one.height) for one in _check(tmp_path).sizes]
    assert found == [("icon.png", 63, 64), ("small.png", 120, 90), ("strip.jpg", 200, 801)]


def test_findings_are_json(tmp_path: Path) -> None:
    findings = _check(write_set(tmp_path, {"a": 2, "b": 2}))
    assert Findings.model_validate_json(findings.model_dump_json()) == findings


# Labels


def test_a_label_that_a_sure_model_contradicts_is_suspected() -> None:
    confidence = np.full((40, 3), 0.05, np.float32)
    truth = np.arange(40) % 3
    confidence[np.arange(40), truth] = 0.9
    labels = truth.copy()
    labels[[7, 11]] = (truth[[7, 11]] + 1) % 3
    confidence[11] = 0.02
    confidence[11, truth[11]] = 0.96
    assert wrong_labels(confidence, labels.tolist()) == [(11, truth[11]), (7, truth[7])]


def test_a_class_counts_as_believed_from_its_own_mean_confidence() -> None:
    # The model is hardly ever sure of class 1: 0.45 is much for it, and for class 0 it is little.
    confidence = np.array([[0.9, 0.1]] * 9 + [[0.55, 0.45]] + [[0.6, 0.4]] * 10, np.float32)
    assert wrong_labels(confidence, [0] * 10 + [1] * 10) == [(9, 1)]


@pytest.mark.parametrize("rows", [0, 1, 5])
def test_a_model_that_agrees_suspects_nothing(rows: int) -> None:
    confidence = np.tile(np.array([0.7, 0.2, 0.1], np.float32), (rows, 1))
    assert wrong_labels(confidence, [0] * rows) == []
