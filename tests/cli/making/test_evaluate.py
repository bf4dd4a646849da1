"""`viewfinder evaluate`, run as a person runs it."""

import json
import shutil
from pathlib import Path

import pytest
from tests.support import PHOTOS, fake_bundle, grey, run_command

from viewfinder.evaluation.document import Evaluation

SHOWN = {
    "espresso": "espresso.jpg",
    "missile": "rocket.jpg",
    "running shoe": "running-shoe.jpg",
    "sandal": "sandal.jpg",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Photos for the builtin model, one of them no photo, one with the wrong label."""
    folder = tmp_path / "data"
    for label, name in SHOWN.items():
        (folder / label).mkdir(parents=True)
        shutil.copy(PHOTOS / name, folder / label)
    shutil.copy(PHOTOS / "cat.jpg", folder / "sandal" / "cat.jpg")
    (folder / "sandal" / "broken.jpg").write_bytes(b"no photo")
    return folder


def test_a_report_and_its_numbers(tmp_path: Path, data: Path) -> None:
    report = tmp_path / "report.html"
    result = run_command("evaluate", "efficientnet-lite0", data, "--report", report, home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Right on 80% of 5 photos" in result.stdout
    assert "sandal taken for" in result.stdout
    assert "Skipped: 1 photo that cannot be decoded." in result.stdout
    assert "macro F1" in result.stdout
    assert f"the report: {report}" in result.stderr
    html = report.read_text()
    assert "Right on 80% of 5 photos" in html
    assert html.count("<img ") == 1
    found = Evaluation.model_validate_json((tmp_path / "evaluation.json").read_bytes())
    assert found.model == "efficientnet-lite0@1"
    assert found.result.worst[0].path == "sandal/cat.jpg"
    assert found.result.skipped[0].path == "sandal/broken.jpg"
    assert not list(tmp_path.glob("*.partial"))


def test_two_models_side_by_side(tmp_path: Path) -> None:
    for step in range(2):
        for split in ("train", "test"):
            folder = tmp_path / "data" / split / f"step-{step}"
            folder.mkdir(parents=True)
            for n in range(3):
                (folder / f"{n}.png").write_bytes(grey(step * 168 + 20 + n))
    fake_bundle(tmp_path / "models", "good", 1, classes=2)
    fake_bundle(tmp_path / "models", "good", 2, classes=8)
    words = ["evaluate", "good@1", str(tmp_path / "data"), "--against", "good@2"]
    result = run_command(*words, home=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "Right on 100% of 6 test photos" in result.stdout
    assert "3 photos more are right than with good@2" in result.stdout
    assert "could be chance (p = 0.25)" in result.stdout
    assert "good@2" in result.stdout
    assert "--report report.html" in result.stderr
    as_json = run_command(*words, "--json", home=tmp_path)
    assert as_json.stderr == ""
    found = Evaluation.model_validate(json.loads(as_json.stdout))
    assert found.comparison is not None
    assert found.comparison.evaluation.model == "good@2"


def test_a_label_of_the_terminals_own_moves_no_cursor(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "step-0"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(grey(0))
    other = tmp_path / "data" / "\x1b[2J"
    other.mkdir()
    (other / "a.png").write_bytes(grey(0))
    fake_bundle(tmp_path / "models", classes=2)
    result = run_command("evaluate", "fake", tmp_path / "data", home=tmp_path)
    assert result.returncode == 1
    assert "\x1b" not in result.stderr
    assert "cannot be shown" in result.stderr
    other.rename(tmp_path / "data" / "wizard")
    unknown = run_command("evaluate", "fake", tmp_path / "data", home=tmp_path)
    assert "does not know 'wizard'" in unknown.stderr
    known = run_command("evaluate", "fake", tmp_path / "data", "--known-only", home=tmp_path)
    assert known.returncode == 0
    assert "Left out: 1 photo with labels it does not know." in known.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data", "--split", "holdout"], "--split is one of"),
        (["data", "--report", "report.pdf"], "ends in .html, in a folder that exists"),
        (["nowhere"], "does not exist"),
    ],
)
def test_wrong_usage_is_one_clear_line(
    tmp_path: Path, data: Path, words: list[str], said: str
) -> None:
    first, *options = words
    result = run_command(
        "evaluate", "efficientnet-lite0", data.parent / first, *options, home=tmp_path
    )
    assert result.returncode == 2
    assert result.stderr.startswith("viewfinder: ")
    assert result.stderr.count("\n") == 1
    assert said in result.stderr
