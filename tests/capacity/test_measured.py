"""What measurements mean."""

from dataclasses import replace

import pytest
from tests.capacity.cases import STEPS, computed, elsewhere, measured, process

from viewfinder.capacity.measured import Served, Step, growing, wants_workers


def test_saturation_is_where_more_clients_get_no_more() -> None:
    assert measured().served.best.clients == 2


def test_the_clients_share_of_the_cores_is_given_back() -> None:
    step = STEPS[1]
    assert measured().capacity == pytest.approx(step.rate * 2 / 1.8)
    assert step.per_core == pytest.approx(240 / 1.8)
    # Never more than the model allows without a server,
    assert measured(compute=computed(250.0)).capacity == 250.0
    # and nothing where cores were idle: something else is the bottleneck,
    assert measured(cores=4, compute=computed(600.0, 4)).capacity == step.rate
    # or where nobody knows them.
    assert elsewhere().capacity == step.rate


def test_what_runs_beside_is_noticed() -> None:
    assert measured().was_quiet
    robbed = replace(computed(300.0), share=0.5)
    assert not measured(compute=robbed).was_quiet
    assert not measured(compute=computed(150.0)).was_quiet
    assert elsewhere().was_quiet


def test_one_process_is_enough_where_it_takes_all_cores() -> None:
    assert wants_workers(measured()) == 1
    assert wants_workers(elsewhere()) == 1


def test_more_are_tried_where_the_event_loop_is_busy_or_cores_are_idle() -> None:
    busy = replace(STEPS[1], loop_share=0.95)
    assert wants_workers(measured(served=Served((busy,), process()))) == 2
    wide = {"cores": 16, "compute": computed(2400.0, 16)}
    held = replace(STEPS[1], rate=800.0, server_cores=9.0, loop_share=0.6)
    assert wants_workers(measured(served=Served((held,), process()), **wide)) == 4
    # No server can have more.
    many = {"cores": 256, "compute": computed(200_000.0, 256)}
    assert wants_workers(measured(served=Served((busy,), process()), **many)) == 64
    # A device that does what it can leaves the cores idle, and that is well.
    assert wants_workers(measured(cores=16, compute=computed(250.0, 16))) == 1


def test_several_are_chosen_only_when_they_are_clearly_better() -> None:
    for rate, chosen in ((250.0, 1), (480.0, 2)):
        split = Served((replace(STEPS[1], rate=rate),), process(2, 1))
        found = measured(split=split).chosen.process
        assert found is not None
        assert found.workers == chosen


def _steps(*rates: float, p99: float = 10.0) -> list[Step]:
    return [Step(2**number, rate, 5.0, p99 * 2**number, 100) for number, rate in enumerate(rates)]


def test_more_clients_come_until_they_get_nothing_more() -> None:
    assert growing([])
    assert growing(_steps(100, 101, 100))  # three figures may be chance
    assert growing(_steps(100, 180, 240, 300))
    assert not growing(_steps(100, 180, 182, 181))
    # As long as nobody waits longer, more are bearable.
    assert growing([replace(step, p99_ms=10.0) for step in _steps(100, 180, 182, 181)])


def test_no_more_come_when_some_are_refused() -> None:
    first, last = _steps(100, 180)
    assert not growing([first, replace(last, refused=5)])
    assert not growing([first, replace(last, failed=5)])
    assert Step(1, 0.0, 0.0, 0.0, 0, refused=3).unanswered == 1.0
