"""`viewfinder train`, where it does not come to training."""

from pathlib import Path

import pytest
from tests.datasets.sets import write_set
from tests.support import run_command

from viewfinder.cli.making.train import _seconds

pytestmark = pytest.mark.train


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return write_set(tmp_path / "photos", {"a": 2, "b": 2})


def test_help_has_an_example(tmp_path: Path) -> None:
    result = run_command("train", "--help", home=tmp_path)
    assert result.returncode == 0
    assert "Example:" in result.stdout


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--name", "Not A Name"], 1, "cannot be a model's name"),
        (["--name", "x", "--backbone", "vgg16"], 1, "`viewfinder models backbones` lists them"),
        (["--name", "x", "--head", "round"], 2, "--head takes linear or mlp"),
        (["--name", "x", "--budget", "soon"], 2, "such as 90s, 10m or 1h30m"),
        (["--name", "x", "--epochs", "0"], 2, "--epochs"),
        (["--name", "x", "--seed", "4294967296"], 2, "--seed"),
        ([], 2, "--name"),
    ],
)
def test_an_option_that_makes_no_sense_is_told_before_any_work(
    tmp_path: Path, photos: Path, options: list[str], code: int, told: str
) -> None:
    result = run_command("train", photos, *options, home=tmp_path)
    assert result.returncode == code
    assert told in result.stderr
    assert "Reading photos" not in result.stderr
    assert result.stdout == ""


def test_photos_that_teach_nothing_are_told_before_any_work(tmp_path: Path) -> None:
    one = write_set(tmp_path / "one", {"a": 3})
    nowhere = tmp_path / "none"
    for source, code, told in ((one, 1, "one class only"), (nowhere, 2, "does not exist")):
        result = run_command("train", source, "--name", "x", home=tmp_path)
        assert result.returncode == code
        assert told in result.stderr
        assert "Traceback" not in result.stderr


def test_a_store_that_cannot_be_written_is_told_before_any_work(
    tmp_path: Path, photos: Path
) -> None:
    (tmp_path / "models").symlink_to(tmp_path / "gone")  # an empty store, and no folder can be made
    result = run_command("train", photos, "--name", "x", home=tmp_path)
    assert result.returncode == 1
    assert "cannot write the model store" in result.stderr
    assert "Building" not in result.stderr


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("45", 45), ("2h", 7200), ("1m30s", 90)],
)
def test_a_budget_is_said_as_people_say_it(text: str, seconds: float) -> None:
    assert _seconds(text) == seconds
