"""Numbers that outlive the process that writes them, and that its siblings read."""

import contextlib
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from viewfinder.telemetry import cells as module
from viewfinder.telemetry.cells import Cells, Place, Siblings


def _count(cells: Cells, name: str, value: float, *labels: str) -> None:
    cells.values[cells.run(name, labels, 1).start] += value


def _read(siblings: Siblings) -> list[dict[tuple[str, tuple[str, ...]], float]]:
    return [
        {
            (name, labels): worker.values[run.start]
            for name, runs in worker.series.items()
            for labels, run in runs.items()
        }
        for worker in siblings.read()
    ]


def _count_in_another_process(place: Place, labels: tuple[str, ...], value: float) -> int:
    """Count there, and die; the id that the process had."""
    code = (
        "import os, sys, pathlib\n"
        "from viewfinder.telemetry.cells import Cells, Place\n"
        "cells = Cells(Place(pathlib.Path(sys.argv[1]), int(sys.argv[2])))\n"
        "cells.values[cells.run('a', tuple(sys.argv[4:]), 1).start] += float(sys.argv[3])\n"
        "print(os.getpid(), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    arguments = [str(place.folder), str(place.number), str(value), *labels]
    ended = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    assert ended.returncode == -9, ended.stderr
    return int(ended.stdout)


def test_a_series_keeps_its_place(tmp_path: Path) -> None:
    for place in (None, Place(tmp_path, 0)):
        cells = Cells(place)
        run = cells.run("a", ("x", "y"), 3)
        assert len(run) == 3
        assert cells.run("a", ("x", "y"), 3) == run
        assert set(run).isdisjoint(cells.run("a", ("x", "z"), 3))
        assert set(run).isdisjoint(cells.run("b", ("x", "y"), 3))


def test_who_takes_the_place_of_a_dead_one_goes_on_with_what_it_counted(tmp_path: Path) -> None:
    place = Place(tmp_path, 0)
    _count_in_another_process(place, ("x",), 5)
    cells = Cells(place)
    _count(cells, "a", 2, "x")
    _count(cells, "a", 1, "new")
    assert _read(Siblings(cells, place)) == [{("a", ("x",)): 7, ("a", ("new",)): 1}]


def test_a_name_that_was_cut_off_is_no_name(tmp_path: Path) -> None:
    place = Place(tmp_path, 0)
    _count_in_another_process(place, ("x",), 5)
    with place.names.open("ab") as names:
        names.write(b'["a", ["ha')
    cells = Cells(place)
    _count(cells, "a", 3, "half")
    other = Place(tmp_path, 1)
    own, *others = _read(Siblings(Cells(other), other))
    assert own == {}
    assert others == [{("a", ("x",)): 5, ("a", ("half",)): 3}]


def test_everybody_reads_all_the_dead_too_and_knows_who_is_alive(tmp_path: Path) -> None:
    dead, alive = Place(tmp_path, 0), Place(tmp_path, 1)
    _count_in_another_process(dead, ("x",), 5)
    cells = Cells(alive)
    _count(cells, "a", 1, "x")
    siblings = Siblings(cells, alive)
    workers = list(siblings.read())
    assert [worker.pid for worker in workers] == [os.getpid(), None]
    assert _read(siblings) == [{("a", ("x",)): 1}, {("a", ("x",)): 5}]
    # What comes later is read too.
    _count_in_another_process(dead, ("ä\n",), 2)
    assert _read(siblings)[1] == {("a", ("x",)): 5, ("a", ("ä\n",)): 2}


def test_one_that_only_begins_is_not_in_the_way(tmp_path: Path) -> None:
    place = Place(tmp_path, 1)
    cells = Cells(place)
    Place(tmp_path, 0).numbers.touch()
    assert len(_read(Siblings(cells, place))) == 1
    Place(tmp_path, 0).names.touch()
    assert len(_read(Siblings(cells, place))) == 1


def test_one_that_cannot_be_read_for_a_moment_has_what_it_had(tmp_path: Path) -> None:
    one, other = Place(tmp_path, 0), Place(tmp_path, 1)
    _count_in_another_process(one, ("x",), 5)
    siblings = Siblings(Cells(other), other)
    before = _read(siblings)
    numbers = one.numbers.read_bytes()
    one.numbers.write_bytes(b"")
    assert _read(siblings) == before
    one.numbers.write_bytes(numbers)
    assert _read(siblings) == before


def test_what_finds_no_room_is_counted_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(tmp_path, 0)
    cells = Cells(place, room=100)
    with caplog.at_level(logging.WARNING):
        for number in range(200):
            _count(cells, "a", number + 1, str(number))
    assert [record.message for record in caplog.records] == [
        "there is no room for more metrics, such as a"
    ]
    counted = _read(Siblings(cells, place))[0]
    assert 10 < len(counted) < 100
    assert all(value == int(label) + 1 for (_, (label,)), value in counted.items())
    assert place.numbers.stat().st_size == 800


@pytest.fixture
def hasty() -> Iterator[None]:
    """Threads that give way after each step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-7)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_that_begin_series_at_once_do_not_share_numbers() -> None:
    cells = Cells()
    names = [str(number) for number in range(4)]
    start = threading.Barrier(len(names))

    def begin(name: str) -> list[range]:
        start.wait()
        return [cells.run(name, (str(number),), 3) for number in range(2000)]

    with ThreadPoolExecutor(len(names)) as threads:
        runs = [run for found in threads.map(begin, names) for run in found]
    assert len({place for run in runs for place in run}) == 3 * len(runs)


def test_two_who_read_at_once_read_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, other = Place(tmp_path, 0), Place(tmp_path, 1)
    siblings, cells = Siblings(Cells(place), place), Cells(other)
    _count(cells, "a", 1, "first")
    both, take_in = threading.Barrier(2), module._take_in

    def take_in_together(text: bytes, series: module.Series) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        take_in(text, series)

    monkeypatch.setattr(module, "_take_in", take_in_together)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: list(siblings.others()), range(2)))
    _count(cells, "a", 2, "second")
    assert _read(siblings)[1] == {("a", ("first",)): 1, ("a", ("second",)): 2}


def _take_away(place: Place) -> None:
    place.folder.rmdir()


def _spoil(place: Place) -> None:
    place.numbers.write_bytes(b"")
    place.names.write_bytes(b"no JSON\n")


@pytest.mark.parametrize("harm", [_take_away, _spoil])
def test_files_that_cannot_be_had_keep_nobody_from_counting(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: Callable[[Place], None]
) -> None:
    place = Place(tmp_path / "folder", 0)
    place.folder.mkdir()
    harm(place)
    with caplog.at_level(logging.WARNING):
        cells = Cells(place)
    assert "the metrics of this worker stay its own" in caplog.text
    _count(cells, "a", 2, "x")
    assert _read(Siblings(cells, place)) == [{("a", ("x",)): 2}]


def test_a_disk_that_is_full_costs_a_series_and_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, other = Place(tmp_path, 0), Place(tmp_path, 1)
    cells, write = Cells(other), os.write
    _count(cells, "a", 1, "first")

    def write_some(file: int, line: bytes) -> int:
        write(file, line[:5])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(os, "write", write_some)
        _count(cells, "a", 1, "lost")
    _count(cells, "a", 2, "later")
    expected = {("a", ("first",)): 1, ("a", ("later",)): 2}
    assert _read(Siblings(Cells(place), place))[1] == expected
    assert _read(Siblings(Cells(other), other))[0] == expected
