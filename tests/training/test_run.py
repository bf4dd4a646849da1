"""The state of a run on disk."""

import fcntl
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from viewfinder.errors import TrainingError
from viewfinder.training.run import RunFolder

HOLD = """
import sys
from pathlib import Path
from viewfinder.training.run import RunFolder
with RunFolder(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    arrays = [np.arange(6, dtype=np.float32).reshape(2, 3), np.array(7), np.zeros((0, 2))]
    with run.held():
        run.save("state", arrays, {"epoch": 3, "loss": 0.5, "none": None})
    saved = RunFolder(tmp_path / "run").load("state")
    assert saved is not None
    assert saved.facts == {"epoch": 3, "loss": 0.5, "none": None}
    for before, after in zip(arrays, saved.arrays, strict=True):
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype


def test_more_than_ten_arrays_keep_their_order(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.save("state", [np.array(n) for n in range(25)], {})
    saved = run.load("state")
    assert saved is not None
    assert [int(array) for array in saved.arrays] == list(range(25))


def test_nothing_saved_is_nothing(tmp_path: Path) -> None:
    assert RunFolder(tmp_path / "none").load("state") is None


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_what_is_cut_short_is_nothing(tmp_path: Path, kept: int) -> None:
    run = RunFolder(tmp_path)
    run.save("state", [np.arange(100)], {})
    path = tmp_path / "state.npz"
    path.write_bytes(path.read_bytes()[:kept])
    assert run.load("state") is None


def test_a_save_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.save("state", [np.array(1)], {})
    with pytest.raises(TypeError):
        run.save("state", [np.array(2)], {"not JSON": object()})
    saved = run.load("state")
    assert saved is not None
    assert saved.arrays[0] == 1


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "state.npz", facts=np.array("{}"), array_0=np.array([print], dtype=object))
    assert RunFolder(tmp_path).load("state") is None


def test_two_processes_are_not_at_the_same_run(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(TrainingError, match="another process"), RunFolder(tmp_path).held():
            pass
        other.kill()
        other.wait()
    with RunFolder(tmp_path).held():
        pass


def test_a_run_that_cannot_be_kept_is_told_with_its_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    with (
        pytest.raises(TrainingError, match=r"cannot keep the state of training in .*run/x"),
        RunFolder(tmp_path / "run" / "x").held(),
    ):
        pass


def test_a_save_that_finds_no_room_leaves_nothing_behind(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (tmp_path / "state.npz").mkdir()  # cannot be replaced
    with pytest.raises(TrainingError, match="cannot keep the state"):
        run.save("state", [np.array(1)], {})
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


def test_a_run_that_was_dropped_while_it_was_opened_is_not_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, flock = RunFolder(tmp_path / "run"), fcntl.flock

    def late(lock: Any, operation: int) -> None:
        run.drop()  # the other process ends just now
        flock(lock, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(TrainingError), run.held():
        pass


def test_a_dropped_run_is_forgotten(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with run.held():
        run.save("state", [], {})
    run.drop()
    assert not (tmp_path / "run").exists()
