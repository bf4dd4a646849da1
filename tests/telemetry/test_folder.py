"""The folder that workers share: gone with its server, however that ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from viewfinder.telemetry.cells import Cells, Place
from viewfinder.telemetry.folder import CountingFolder, clear_left

_LONG_AGO = (1.0, 1.0)


def _folder(parent: Path, name: str = "viewfinder-x") -> Path:
    folder = parent / name
    folder.mkdir()
    for kind in ("metrics", "tally"):
        Cells(Place(folder, 0, kind))
    os.utime(folder, _LONG_AGO)
    return folder


def test_what_a_killed_server_has_left_is_taken_away(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    code = (
        "import os, pathlib, sys\n"
        "from viewfinder.telemetry.folder import CountingFolder\n"
        "folder = CountingFolder(pathlib.Path(sys.argv[1]))\n"
        "print(flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        clear_left(tmp_path)
        assert len(list(folder.iterdir())) == 4
        server.send_signal(signal.SIGKILL)
    clear_left(tmp_path)
    assert not folder.exists()


def test_what_somebody_else_has_there_stays(tmp_path: Path) -> None:
    mine, named = _folder(tmp_path), _folder(tmp_path, "photos")
    (mine / "photo.jpg").touch()
    os.utime(mine, _LONG_AGO)
    fresh = tmp_path / "viewfinder-fresh"
    fresh.mkdir()
    (tmp_path / "viewfinder-file").touch()
    (tmp_path / "viewfinder-link").symlink_to(named)
    clear_left(tmp_path)
    assert (mine / "photo.jpg").exists()
    assert fresh.exists()
    assert (tmp_path / "viewfinder-file").exists()
    assert len(list(named.iterdir())) == 4


def test_what_has_just_been_made_is_not_locked_by_others(tmp_path: Path) -> None:
    _folder(tmp_path)
    fresh = tmp_path / "viewfinder-fresh"
    fresh.mkdir()
    code = (
        "import os, pathlib, sys\n"
        "from viewfinder.telemetry.folder import clear_left\n"
        "def heard(event, given):\n"
        "    if event == 'fcntl.flock':\n"
        "        print(os.readlink(f'/proc/self/fd/{given[0]}'))\n"
        "sys.addaudithook(heard)\n"
        "clear_left(pathlib.Path(sys.argv[1]))\n"
    )
    locked = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, check=True
    )
    # Its server, which locks it a moment later, must not find it locked.
    assert locked.stdout.split() == [str(tmp_path / "viewfinder-x")]
    assert fresh.exists()


def test_it_goes_with_its_server() -> None:
    folder = CountingFolder.make()
    assert folder is not None
    clear_left(folder.path.parent)
    assert folder.path.exists()
    folder.remove()
    assert not folder.path.exists()
