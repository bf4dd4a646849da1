"""`viewfinder data check`, run as a person runs it."""

import json
import os
import pty
import subprocess
from pathlib import Path

from tests.datasets.sets import blobs, write, write_set
from tests.support import COMMAND, environment, fake_bundle, grey, run_command


def test_help_has_an_example(tmp_path: Path) -> None:
    result = run_command("data", "check", "--help", home=tmp_path)
    assert result.returncode == 0
    assert "Example:" in result.stdout


def test_the_report_is_made_whatever_it_says(tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", {"[red]a": 12, "b": 3})
    for number in range(12):
        write(data / "b" / f"cut{number:02}.png", b"\x89PNG\r\n\x1a\n")
    write(data / "b" / "\x1b[31mcopy.png", (data / "b" / "000.png").read_bytes())
    result = run_command("data", "check", data, home=tmp_path)
    assert result.returncode == 0
    assert result.stderr == ""
    assert "16 photos, 2 classes" in result.stdout
    assert "[red]a" in result.stdout
    assert "12 photos cannot be used" in result.stdout
    assert "and 2 more" in result.stdout
    assert "1 group of identical files" in result.stdout
    assert r"b/\x1b[31mcopy.png" in result.stdout
    assert "no leaks between splits" in result.stdout
    assert max(map(len, result.stdout.splitlines()[1:])) <= 80
    assert not list(tmp_path.glob("cache"))


def test_json_has_all_of_it(tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", {"a": 3, "b": 3})
    for number in range(12):
        write(data / "b" / f"cut{number:02}.png", b"")
    result = run_command("data", "check", data, "--json", home=tmp_path)
    assert result.returncode == 0
    findings = json.loads(result.stdout)
    assert findings["photos"] == 6
    assert len(findings["corrupt"]) == 12
    assert [one["label"] for one in findings["classes"]] == ["a", "b"]
    assert findings["wrong_labels"] is None


def test_a_model_says_which_labels_it_does_not_believe(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    rows = ["path,label"]
    for number, (brightness, label) in enumerate(
        [(8, "step-0")] * 4 + [(248, "step-15")] * 4 + [(249, "step-0")]
    ):
        write(tmp_path / f"{number}.png", grey(brightness, (64 + number, 64)))
        rows.append(f"{number}.png,{label}")
    table = write(tmp_path / "set.csv", "\n".join(rows).encode())
    result = run_command("data", "check", table, "--model", "fake@1", "--json", home=tmp_path)
    assert result.returncode == 0, result.stderr
    findings = json.loads(result.stdout)
    assert findings["model"] == "fake@1"
    (suspect,) = findings["wrong_labels"]
    assert (Path(suspect["path"]).name, suspect["label"], suspect["suggested"]) == (
        "8.png",
        "step-0",
        "step-15",
    )


def test_a_model_of_other_classes_cannot_be_asked(tmp_path: Path) -> None:
    fake_bundle(tmp_path / "models")
    data = write_set(tmp_path / "data", {"step-1": 1, "dog": 1})
    result = run_command("data", "check", data, "--model", "fake", home=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith("viewfinder: fake@1 has no classes 'dog';")


def test_what_is_no_data_set_ends_with_one_line(tmp_path: Path) -> None:
    result = run_command("data", "check", tmp_path / "nowhere", home=tmp_path)
    assert result.returncode == 2
    assert result.stderr == f"viewfinder: {tmp_path / 'nowhere'} does not exist\n"


def test_a_terminal_sees_how_far_it_is(tmp_path: Path) -> None:
    data = write_set(tmp_path / "data", {"a": 3, "b": 3})
    write(data / "a" / "more.png", blobs(7))
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "data", "check", data],
        env={**environment(tmp_path), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        assert b"7 photos" in process.communicate(timeout=60)[0]
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        assert b"looking" in terminal.read(10_000)
