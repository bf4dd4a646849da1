"""Runs of `viewfinder classify` that were cut off, and go on."""

import json
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commands import Commands, lines_of, photos_in
from tests.support import (
    COMMAND,
    Engine,
    environment,
    eventually,
    fake_bundle,
    grey,
    heeding_interrupts,
)

from viewfinder.cli.batch import outputs
from viewfinder.cli.batch.journal import Journal, journal_of
from viewfinder.cli.batch.sources import Sources
from viewfinder.settings import Settings

_PHOTOS = 60
_AT_ONCE = 4


def _cut_off(commands: Commands, photos: Path, out: Path, number: int) -> subprocess.Popen[str]:
    """Begin a run with a slow model, and send it a signal in the middle."""
    fake_bundle(commands.home / "models", "slow", milliseconds=40)
    with heeding_interrupts():
        process = subprocess.Popen(
            [COMMAND, "classify", str(photos), "--out", str(out), "--model", "slow"],
            env=environment(commands.home, THREADS=2, CACHE__ENABLED=False),
            stderr=subprocess.PIPE,
            text=True,
        )
    journal = journal_of(out)
    eventually(lambda: journal.is_file() and journal.read_bytes().count(b"\n") > 6)
    process.send_signal(number)
    process.wait(30)
    return process


def test_a_run_that_was_killed_goes_on(commands: Commands, tmp_path: Path, engine: Engine) -> None:
    paths = photos_in(tmp_path / "photos", [4 * number for number in range(_PHOTOS)])
    out = tmp_path / "x.jsonl"
    _cut_off(commands, tmp_path / "photos", out, signal.SIGKILL).communicate()
    assert not out.exists()
    kept = len(lines_of(journal_of(out))) - 1
    assert 5 < kept < _PHOTOS - _AT_ONCE
    ended = commands.classify(tmp_path / "photos", "--out", out, "--model", "slow")
    assert ended.code == 0
    assert ended.err.splitlines()[0] == f"resumed: {kept} of {_PHOTOS} images are done"
    assert f"60 images, 0 failed, {kept} of them before; {_PHOTOS - kept} in" in ended.err
    assert [line["path"] for line in lines_of(out)] == [str(path) for path in paths]
    # Only what had not been kept is worked on, and each of that once; the first calls are of the
    # model's warm-up, which is black.
    asked = Counter(one for call in engine.calls for one in call)
    rest = {4 * number for number in range(kept, _PHOTOS)}
    assert {one for one in asked if one} == rest - {0}
    assert all(asked[one] == 1 for one in rest)
    assert not journal_of(out).exists()


def test_a_run_that_was_stopped_says_how_to_go_on(commands: Commands, tmp_path: Path) -> None:
    photos_in(tmp_path / "photos", [4 * number for number in range(_PHOTOS)])
    out = tmp_path / "x.csv"
    process = _cut_off(commands, tmp_path / "photos", out, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 1
    kept = len(lines_of(journal_of(out))) - 1
    assert said == (
        f"viewfinder: stopped; {kept} of 60 images are done and kept: the same command goes on "
        "from there\n"
    )
    assert not out.exists()


class _Run:
    """A run that was cut off after all photos were answered, and before they were written."""

    def __init__(self, commands: Commands, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.photos = folder / "photos"
        self.paths = photos_in(self.photos, [24, 136, 200, 232])
        self.out = folder / "x.jsonl"
        self.journal = journal_of(self.out)
        self._commands = commands

        def full(*_: Any) -> Any:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as broken:
            broken.setitem(outputs.OUTPUTS, ".jsonl", full)
            ended = self.again()
        assert ended.code == 1
        assert "4 of 4 images are done and kept" in ended.err
        assert "No space left" in ended.err

    def again(self, *arguments: object) -> Any:
        """The same command once more."""
        return self._commands.classify(self.photos, "--out", self.out, *arguments)


@pytest.fixture
def stopped(
    commands: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: Engine
) -> _Run:
    """A run that was cut off; the engine has forgotten it."""
    run = _Run(commands, tmp_path, monkeypatch)
    engine.forget()
    return run


def test_what_is_done_needs_no_model(stopped: _Run, engine: Engine) -> None:
    ended = stopped.again()
    assert ended.code == 0
    assert "resumed: 4 of 4 images are done" in ended.err
    assert [line["class"] for line in lines_of(stopped.out)] == [
        *("step-1", "step-8", "step-12", "step-14")
    ]
    assert engine.calls == []
    assert not stopped.journal.exists()


def test_a_photo_that_has_changed_is_done_again(stopped: _Run) -> None:
    stopped.paths[1].write_bytes(grey(72))
    ended = stopped.again()
    assert "resumed: 3 of 4 images are done" in ended.err
    assert [line["class"] for line in lines_of(stopped.out)] == [
        *("step-1", "step-4", "step-12", "step-14")
    ]


def test_photos_may_come_and_go_meanwhile(stopped: _Run) -> None:
    stopped.paths[0].unlink()
    (stopped.photos / "010.png").write_bytes(grey(8))
    assert "resumed: 3 of 4 images are done" in stopped.again().err
    names = [Path(line["path"]).name for line in lines_of(stopped.out)]
    assert names == ["001.png", "002.png", "003.png", "010.png"]


@pytest.mark.parametrize("torn", [b'{"stamp": [1, 2], "li', b"\0" * 512, b'{"stamp"\n', b"{}"])
def test_a_torn_line_is_dropped(stopped: _Run, torn: bytes) -> None:
    with stopped.journal.open("ab") as file:
        file.write(torn)
    assert "resumed: 4 of 4 images are done" in stopped.again().err
    assert len(lines_of(stopped.out)) == 4


def test_what_follows_a_torn_line_is_whole(stopped: _Run) -> None:
    text = stopped.journal.read_bytes()
    stopped.journal.write_bytes(text[:-20])  # the answer to the last photo
    assert "resumed: 3 of 4 images are done" in stopped.again().err
    assert [line["path"] for line in lines_of(stopped.out)] == list(map(str, stopped.paths))


def test_a_torn_first_line_is_as_none(stopped: _Run) -> None:
    stopped.journal.write_bytes(stopped.journal.read_bytes()[:30])
    ended = stopped.again()
    assert "resumed" not in ended.err
    assert len(lines_of(stopped.out)) == 4


@pytest.mark.parametrize(
    ("differs", "arguments"),
    [("model", ["--model", "fake@1"]), ("top-k", ["--top-k", 2]), ("sources", ["{other}"])],
)
def test_another_question_is_refused(
    stopped: _Run, tmp_path: Path, differs: str, arguments: list[Any]
) -> None:
    (other,) = photos_in(tmp_path / "other", [8])
    before = stopped.journal.read_bytes()
    given = [other if argument == "{other}" else argument for argument in arguments]
    complaint = stopped.again(*given).complaint
    assert f"other {differs}" in complaint
    assert "--fresh" in complaint
    assert stopped.journal.read_bytes() == before
    assert not stopped.out.exists()
    ended = stopped.again(*given, "--fresh")
    assert ended.code == 0
    assert "resumed" not in ended.err
    assert not stopped.journal.exists()


def test_fresh_forgets(stopped: _Run, engine: Engine) -> None:
    assert "resumed" not in stopped.again("--fresh").err
    assert {24, 136, 200, 232} <= {one for call in engine.calls for one in call}


def test_fresh_without_a_file_is_wrong_usage(commands: Commands, tmp_path: Path) -> None:
    ended = commands.classify(*photos_in(tmp_path / "photos", [8]), "--fresh")
    assert ended.code == 2
    assert "--out" in ended.complaint


def test_a_run_stays_with_its_version(stopped: _Run, commands: Commands) -> None:
    fake_bundle(commands.home / "models", version=2, classes=4)
    stopped.paths[0].write_bytes(grey(25))
    assert stopped.again().code == 0
    assert {line["model"]["version"] for line in lines_of(stopped.out)} == {1}


def test_another_variant_does_not_go_on(stopped: _Run) -> None:
    head, *answers = stopped.journal.read_text().splitlines(keepends=True)
    entry = json.loads(head)
    entry["model"]["variant"] = "int8"
    stopped.journal.write_text(json.dumps(entry) + "\n" + "".join(answers))
    stopped.paths[0].write_bytes(grey(25))
    ended = stopped.again()
    assert ended.code == 1
    assert "--fresh" in ended.err
    assert stopped.journal.exists()


def test_a_file_of_somebody_else_is_left_alone(stopped: _Run) -> None:
    stopped.journal.write_text("mine\n")
    assert "none of Viewfinder's" in stopped.again().complaint
    assert stopped.journal.read_text() == "mine\n"


def test_an_answer_that_is_kept_is_in_the_file_at_once(tmp_path: Path) -> None:
    error = {"code": "invalid_image", "detail": "Damaged."}
    photo = Sources([str(path) for path in photos_in(tmp_path / "photos", [8])], Settings())
    with Journal(tmp_path / "x", {}, photo.photos) as journal:
        journal.begin(None)
        journal.keep(photo.photos[0], {"path": photo.photos[0].path, "error": error})
        assert lines_of(tmp_path / "x")[1]["line"]["error"] == error


def test_two_runs_do_not_write_one_journal(stopped: _Run) -> None:
    with Journal(stopped.journal, {}, [], fresh=True) as journal:
        journal.begin(None)
        assert "another run" in stopped.again().complaint


def test_what_may_pass_is_tried_again(stopped: _Run) -> None:
    head, first, *others = stopped.journal.read_text().splitlines(keepends=True)
    entry = json.loads(first)
    path = entry["line"]["path"]
    entry["line"] = {"path": path, "error": {"code": "overloaded", "detail": "Full."}}
    stopped.journal.write_text(head + json.dumps(entry) + "\n" + "".join(others))
    assert "resumed: 3 of 4 images are done" in stopped.again().err
    assert "class" in lines_of(stopped.out)[0]


def test_nothing_is_left_of_a_run_that_has_done_nothing(commands: Commands, tmp_path: Path) -> None:
    photos = photos_in(tmp_path / "photos", [8])
    ended = commands.classify(*photos, "--out", tmp_path / "x.csv", "--model", "nope")
    assert "no model 'nope'" in ended.complaint
    assert {path.name for path in tmp_path.iterdir()} == {"home", "photos"}
