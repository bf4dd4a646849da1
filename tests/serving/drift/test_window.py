"""What is recent, told by counts that only rise."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from viewfinder.serving.drift.window import PHOTOS, Window
from viewfinder.telemetry.tally import SharedTally


def _counted(tally: SharedTally, cell: str, times: int = 1) -> Mapping[str, float]:
    for _ in range(times):
        tally.add("m", [PHOTOS, cell])
    return tally.counts("m")


def test_until_there_are_enough_all_are_recent() -> None:
    tally, window = SharedTally(), Window(100)
    assert window.recent(tally.counts("m")) == {}
    for number in range(1, 100):
        recent = window.recent(_counted(tally, "a"))
        assert recent == {PHOTOS: number, "a": number}


def test_what_is_long_ago_is_no_more() -> None:
    tally, window = SharedTally(), Window(100)
    for _ in range(300):
        window.follow(_counted(tally, "old"))
    for _ in range(126):
        recent = window.recent(_counted(tally, "new"))
    assert recent == {PHOTOS: recent["new"], "new": recent["new"]}


@given(st.integers(100, 300), st.lists(st.integers(1, 80), min_size=1, max_size=60))
def test_it_holds_as_many_as_it_should_and_little_more(photos: int, looks: list[int]) -> None:
    tally, window, total = SharedTally(), Window(photos), 0
    for count in looks:
        total += count
        held = window.recent(_counted(tally, "a", count))[PHOTOS]
        assert min(total, photos) <= held <= photos * 9 / 8 + 2 * max(looks)


def test_a_process_that_comes_late_begins_with_what_comes() -> None:
    tally = SharedTally()
    _counted(tally, "old", 1000)
    window = Window(100)
    assert window.recent(tally.counts("m")) == {}
    assert window.recent(_counted(tally, "new", 5)) == {PHOTOS: 5, "new": 5}


def test_counts_that_fall_have_begun_anew() -> None:
    window = Window(100)
    window.follow(_counted(SharedTally(), "a", 90))
    assert window.recent(_counted(SharedTally(), "b", 3)) == {PHOTOS: 3, "b": 3}
