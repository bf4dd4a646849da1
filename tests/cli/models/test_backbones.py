"""`viewfinder models backbones`."""

import json
import platform
from pathlib import Path

import pytest
from tests.support import run_command

from viewfinder.modeling.backbones import BACKBONES


def test_every_backbone_is_listed_within_80_columns(tmp_path: Path) -> None:
    result = run_command("models", "backbones", home=tmp_path)
    assert result.returncode == 0
    heading, *rows = result.stdout.splitlines()
    assert heading.split() == ["name", "input", "parameters", "MB", "weights", "ms", "a", "photo"]
    assert [row.split()[0] for row in rows] == list(BACKBONES)
    assert all(len(row) <= 80 for row in rows)
    assert "To measure here: viewfinder models backbones [NAME]... --measure" in result.stderr


def test_a_file_in_the_folder_of_keras_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    command = ("models", "backbones", "efficientnet-b0", "--json")
    before = json.loads(run_command(*command, home=tmp_path).stdout)
    (tmp_path / "keras" / "models").mkdir(parents=True)
    (tmp_path / "keras" / "models" / "efficientnetb0_notop.h5").touch()
    after = json.loads(run_command(*command, home=tmp_path).stdout)
    assert before["backbones"][0]["weights"] == "download"
    assert after["backbones"][0]["weights"] == "here"


def test_only_what_was_measured_on_this_machine_is_shown(tmp_path: Path) -> None:
    speed = {"milliseconds": 4.25, "date": "2026-11-23"}
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "backbones.json").write_text(
        json.dumps({platform.node(): {"resnet50": speed}, "another": {"resnet101": speed}})
    )
    result = run_command("models", "backbones", "--json", home=tmp_path)
    shown = {line["name"]: line["milliseconds"] for line in json.loads(result.stdout)["backbones"]}
    assert shown["resnet50"] == 4.25
    assert shown["resnet101"] is None


@pytest.mark.parametrize("text", ["", "[]", '{"x"', '{"%s": 3}', '{"%s": {"resnet50": 1}}'])
def test_a_damaged_memory_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "backbones.json").write_text(text.replace("%s", platform.node()))
    result = run_command("models", "backbones", "resnet50", "--json", home=tmp_path)
    assert json.loads(result.stdout)["backbones"][0]["milliseconds"] is None


def test_an_unknown_backbone_is_wrong_usage(tmp_path: Path) -> None:
    result = run_command("models", "backbones", "resnet51", home=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith(
        "viewfinder: there is no backbone 'resnet51' (did you mean resnet"
    )
