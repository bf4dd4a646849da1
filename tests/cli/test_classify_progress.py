"""What a person sees while photos are classified."""

import contextlib
import os
import pty
import subprocess
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.cli.commands import Commands, photos_in
from tests.support import COMMAND, environment

from viewfinder.cli.batch.progress import Lines
from viewfinder.cli.batch.summary import Summary, Tally


def test_lines_come_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter([0.0, 4.0, 9.9, 10.0, 12.0, 20.0])
    lines = Lines(1000, 812, lambda: next(clock))
    for failed in (False, True, False, False, True):
        lines.tell(failed=failed)
    assert capsys.readouterr().err.splitlines() == [
        "815 of 1,000 images, 1 failed, 0.3 a second, 617 s left",
        "817 of 1,000 images, 2 failed, 0.2 a second, 732 s left",
    ]


def test_the_summary_shows_what_is_frequent() -> None:
    tally = Tally(
        images=1003,
        unsure=20,
        classes=Counter({"sneaker": 500, "boot\x1b[2J": 250, "a": 100, "b": 60, "c": 50, "d": 40}),
        errors=Counter({"invalid_image": 3}),
    )
    text = Summary(tally, 800, 130.0, None, Path("x.csv")).as_text()
    assert text.splitlines() == [
        "1,003 images, 3 failed, 800 of them before; 203 in 2 min 10 s (1.6 a second): x.csv",
        "  3 invalid_image",
        "  sneaker      500   50.0%  ████████████",
        "  boot\\x1b[2J  250   25.0%  ██████",
        "  a            100   10.0%  ██",
        "  b             60    6.0%  █",
        "  c             50    5.0%  █",
        "  1 other       40",
        "  not sure enough of 20",
    ]


def _hear(terminal: int, heard: list[bytes]) -> None:
    with contextlib.suppress(OSError):  # so it says that nobody writes any more
        while data := os.read(terminal, 65536):
            heard.append(data)


def test_a_terminal_shows_a_bar_and_what_failed(commands: Commands, tmp_path: Path) -> None:
    photos_in(tmp_path / "photos", range(4, 40, 4))
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no")
    leader, follower = pty.openpty()
    heard: list[bytes] = []
    reader = threading.Thread(target=_hear, args=(leader, heard))
    reader.start()
    result = subprocess.run(
        [COMMAND, "classify", str(tmp_path / "photos"), "--out", str(tmp_path / "x.jsonl")],
        env={
            **environment(commands.home, DEFAULT_MODEL="fake"),
            "TERM": "xterm",
            "COLUMNS": "100",
        },
        stdout=subprocess.PIPE,
        stderr=follower,
        check=True,
    )
    os.close(follower)
    reader.join(30)
    os.close(leader)
    shown = b"".join(heard).decode()
    assert result.stdout == b""
    assert "10/10" in shown
    assert "1 failed" in shown
    assert "10 images, 1 failed" in shown
