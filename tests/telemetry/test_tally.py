"""Counts that the workers of a server make together."""

from pathlib import Path

import pytest

from viewfinder.telemetry.cells import Place
from viewfinder.telemetry.tally import SharedTally


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_alone_it_counts_by_name_and_cell() -> None:
    tally = SharedTally()
    tally.add("a", ["x", "y"])
    tally.add("a", ["x"])
    tally.add("b", ["x"])
    assert tally.counts("a") == {"x": 2, "y": 1}
    assert tally.counts("b") == {"x": 1}
    assert (tally.count("a", "x"), tally.count("a", "z"), tally.count("c", "x")) == (2, 0, 0)
    assert tally.counts("c") == {}
    assert tally.names() == {"a", "b"}


def test_workers_see_what_the_others_count_and_their_own_at_once(tmp_path: Path) -> None:
    clock = Clock()
    one, other = (SharedTally(Place(tmp_path, number), clock=clock) for number in range(2))
    one.add("a", ["x"])
    assert one.counts("a") == {"x": 1}
    other.add("a", ["x", "y"])
    assert other.counts("a") == {"x": 2, "y": 1}
    clock.now = 1.0
    assert one.counts("a") == {"x": 2, "y": 1}
    other.add("b", ["z"])
    clock.now = 2.0
    assert one.names() == {"a", "b"}


def test_what_a_dead_worker_counted_stays_for_who_takes_its_place(tmp_path: Path) -> None:
    one = SharedTally(Place(tmp_path, 0))
    one.add("a", ["x"])
    again = SharedTally(Place(tmp_path, 0))
    again.add("a", ["x"])
    assert again.counts("a") == {"x": 2}


def test_what_is_forgotten_is_no_name_until_it_is_counted_again() -> None:
    tally = SharedTally()
    tally.add("a", ["x"])
    tally.forget("a")
    assert tally.names() == set()
    tally.add("a", ["x"])
    assert tally.names() == {"a"}
    assert tally.counts("a") == {"x": 2}


def test_what_finds_no_room_is_counted_in_none_of_its_cells(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("viewfinder.telemetry.tally._ROOM", 68)
    tally = SharedTally()
    tally.add("a", ["x", "y"])
    tally.add("b", ["x", "y"])
    tally.add("a", ["x", "y"])
    assert tally.counts("a") == {"x": 2, "y": 2}
    assert not any(tally.counts("b").values())
    assert "no room" in caplog.text
