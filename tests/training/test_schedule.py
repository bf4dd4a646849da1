"""How many steps, how large, and how many fit into a budget."""

from hypothesis import given
from hypothesis import strategies as st

from viewfinder.training.schedule import BATCH, Plan, default_epochs, fit, learning_rate, plan

PEAK = 3e-4


def test_the_rate_warms_up_and_falls_to_almost_nothing() -> None:
    rates = [learning_rate(step, 100, PEAK) for step in range(100)]
    assert rates[9] == max(rates) == PEAK
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert 0 < rates[0] <= PEAK / 10
    assert 0 <= rates[-1] < PEAK / 1000


@given(steps=st.integers(1, 10_000))
def test_the_rate_is_never_negative_nor_over_the_peak(steps: int) -> None:
    for step in (0, steps // 2, steps - 1):
        assert 0 <= learning_rate(step, steps, PEAK) <= PEAK


def test_few_photos_are_looked_at_more_often() -> None:
    assert [default_epochs(n) for n in (50, 1000, 3000, 100_000)] == [20, 12, 4, 4]


def test_a_plan_shows_every_photo_in_every_epoch() -> None:
    whole = plan(BATCH * 10 + 1, 3)
    assert (whole.steps, whole.steps_per_epoch, whole.epochs) == (33, 11, 3)
    assert [whole.steps_of(epoch) for epoch in range(3)] == [11, 11, 11]


def test_a_plan_that_is_cut_short_has_a_shorter_last_epoch() -> None:
    short = Plan(steps=25, steps_per_epoch=10)
    assert short.epochs == 3
    assert [short.steps_of(epoch) for epoch in range(3)] == [10, 10, 5]


def test_a_budget_that_is_ample_changes_nothing() -> None:
    whole = plan(3200, 5)
    assert fit(whole, seconds=10_000, step_s=1, validation_s=10) == whole


@given(
    seconds=st.floats(1, 5_000),
    step_s=st.floats(0.01, 10),
    validation_s=st.floats(0, 60),
    photos=st.integers(10, 20_000),
)
def test_what_fits_is_done_in_time(
    seconds: float, step_s: float, validation_s: float, photos: int
) -> None:
    fitting = fit(plan(photos, 5), seconds=seconds, step_s=step_s, validation_s=validation_s)
    if fitting is not None:
        assert 0 < fitting.steps <= plan(photos, 5).steps
        assert fitting.steps * step_s + fitting.epochs * validation_s <= seconds


def test_a_budget_that_is_gone_leaves_no_plan() -> None:
    whole = plan(3200, 5)
    assert fit(whole, seconds=0, step_s=1, validation_s=10) is None
    assert fit(whole, seconds=15, step_s=1, validation_s=10) is None
