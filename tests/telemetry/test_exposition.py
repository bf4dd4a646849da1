"""Instruments, and the text that Prometheus reads, against Prometheus' own parser."""

import math
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from viewfinder.telemetry import processes
from viewfinder.telemetry.cells import Cells, Numbers, Place, Siblings
from viewfinder.telemetry.exposition import Exposition, total
from viewfinder.telemetry.instruments import Combine, Counter, Family, Gauge, Histogram

_COUNTER = Family("x_total", "counter", 'How "often"\n\\ so.', ("who", "what"))
_GAUGE = Family("depth", "gauge", "How deep.", ("lane",))
_HISTOGRAM = Family("x_seconds", "histogram", "How long.", ("who",), (0.1, 0.5, 2.5))

# Prometheus' own parser takes some other characters for the end of a line.
_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])) | st.just("\n")

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def _samples(families: Sequence[Family], workers: Sequence[Numbers]) -> Samples:
    text = Exposition(families).render(total(families, workers)).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def _alone(cells: Cells) -> list[Numbers]:
    return list(Siblings(cells, None).read())


@given(st.lists(st.tuples(_TEXT, _TEXT, st.integers(0, 10**12)), max_size=20))
def test_whatever_the_labels_hold_is_read_as_it_was(
    counted: list[tuple[str, str, int]],
) -> None:
    cells = Cells()
    counter = Counter(_COUNTER, cells)
    expected: Samples = {}
    for who, what, by in counted:
        counter.add(who, what, by=by)
        key = ("x_total", (("what", what), ("who", who)))
        expected[key] = expected.get(key, 0.0) + by
    assert _samples([_COUNTER], _alone(cells)) == expected


def test_a_histogram_is_cumulative_and_its_bounds_belong_to_their_bucket() -> None:
    cells = Cells()
    histogram = Histogram(_HISTOGRAM, cells)
    for value in (0.05, 0.1, 0.3, 2.5, 7.0):
        histogram.observe(value, "a")
    samples = _samples([_HISTOGRAM], _alone(cells))
    buckets = {le: samples["x_seconds_bucket", (("le", le), ("who", "a"))] for le in _LE}
    assert buckets == {"0.1": 2, "0.5": 3, "2.5": 4, "+Inf": 5}
    assert samples["x_seconds_count", (("who", "a"),)] == 5
    assert samples["x_seconds_sum", (("who", "a"),)] == pytest.approx(9.95)


_LE = ("0.1", "0.5", "2.5", "+Inf")


def test_workers_count_together_and_the_gauges_of_the_dead_are_gone(tmp_path: Path) -> None:
    workers = []
    for number in range(3):
        cells = Cells(Place(tmp_path, number))
        Counter(_COUNTER, cells).add("a", "b", by=number + 1)
        Gauge(_GAUGE, cells).set(10 * (number + 1), "batch")
        Histogram(_HISTOGRAM, cells).observe(0.2, "a")
        workers += _alone(cells)
    workers[0] = Numbers(None, workers[0].series, workers[0].values)
    combined: dict[Combine, float] = {"sum": 50, "max": 30, "min": 20}
    for combine, expected in combined.items():
        gauge = Family("depth", "gauge", "How deep.", ("lane",), combine=combine)
        samples = _samples([_COUNTER, gauge, _HISTOGRAM], workers)
        assert samples["x_total", (("what", "b"), ("who", "a"))] == 6
        assert samples["depth", (("lane", "batch"),)] == expected
        assert samples["x_seconds_count", (("who", "a"),)] == 3


def test_a_gauge_that_says_nothing_is_not_shown() -> None:
    cells = Cells()
    gauge = Gauge(_GAUGE, cells)
    gauge.replace({("a",): 1.0, ("b",): 2.0})
    gauge.replace({("b",): 3.0})
    assert _samples([_GAUGE], _alone(cells)) == {("depth", (("lane", "b"),)): 3.0}
    gauge.replace({})
    assert _samples([_GAUGE], _alone(cells)) == {}


def test_without_labels_a_count_is_there_from_the_beginning() -> None:
    cells = Cells()
    plain, timed = Family("n_total", "counter", "n"), Family("s", "histogram", "s", (), (1.0,))
    Counter(plain, cells)
    Histogram(timed, cells)
    samples = _samples([plain, timed], _alone(cells))
    assert samples["n_total", ()] == 0
    assert samples["s_count", ()] == 0


def test_a_count_that_follows_another_goes_on_where_that_one_begins_anew() -> None:
    cells = Cells()
    family = Family("n_total", "counter", "n")
    counter = Counter(family, cells)
    for seen in (3, 3, 10, 2, 5):
        counter.follow(seen)
    assert _samples([family], _alone(cells)) == {("n_total", ()): 15}


def test_labels_must_be_those_of_the_metric() -> None:
    with pytest.raises(ValueError, match="who"):
        Counter(_COUNTER, Cells()).add("one")


def test_threads_lose_no_count() -> None:
    cells = Cells()
    counter, histogram = Counter(_COUNTER, cells), Histogram(_HISTOGRAM, cells)

    def count() -> None:
        for _ in range(20_000):
            counter.add("a", "b")
            histogram.observe(1.0, "a")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    samples = _samples([_COUNTER, _HISTOGRAM], _alone(cells))
    assert samples["x_total", (("what", "b"), ("who", "a"))] == 80_000
    assert samples["x_seconds_count", (("who", "a"),)] == 80_000
    assert samples["x_seconds_sum", (("who", "a"),)] == 80_000


def test_infinity_is_a_number() -> None:
    cells = Cells()
    gauge = Gauge(Family("most", "gauge", "m"), cells)
    gauge.set(math.inf)
    assert _samples([gauge.family], _alone(cells)) == {("most", ()): math.inf}
    assert os.getpid() == _alone(cells)[0].pid


def test_who_takes_the_place_of_a_dead_one_has_its_counts_and_not_its_state(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, 0)
    dead = Cells(place)
    Counter(_COUNTER, dead).add("a", "b")
    Gauge(_GAUGE, dead).set(3, "interactive")
    cells = Cells(place)
    Counter(_COUNTER, cells)
    Gauge(_GAUGE, cells).set(1, "batch")
    assert _samples([_COUNTER, _GAUGE], _alone(cells)) == {
        ("x_total", (("what", "b"), ("who", "a"))): 1,
        ("depth", (("lane", "batch"),)): 1,
    }


def test_a_system_that_tells_less_of_processes_than_linux_costs_their_figures_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = os.getpid()
    (tmp_path / str(pid)).mkdir()
    for name in ("stat", f"{pid}/stat"):  # without `btime`
        (tmp_path / name).write_text(f"{pid} (python) S " + " ".join(["1"] * 40) + "\n")
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    assert not any(processes.process_totals([pid]).values())
