"""`Breaker`: what hangs is waited for by one at a time."""

import pytest

from viewfinder.shared.breaker import Breaker, LeftAloneError


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def breaker(clock: _Clock) -> Breaker:
    return Breaker(OSError, but=(FileNotFoundError,), slow_s=1, pause_s=2, clock=clock)


def _fail(breaker: Breaker, clock: _Clock, seconds: float, error: Exception) -> None:
    def fail() -> None:
        with breaker.guarding():
            clock.now += seconds
            raise error

    with pytest.raises(type(error)):
        fail()


def test_after_a_slow_failure_one_tries_and_the_others_are_refused(
    breaker: Breaker, clock: _Clock
) -> None:
    _fail(breaker, clock, 1, TimeoutError())
    with pytest.raises(LeftAloneError), breaker.guarding():
        pass
    clock.now += 2
    with breaker.guarding():
        with pytest.raises(LeftAloneError), breaker.guarding():
            pass
        clock.now += 100
    with breaker.guarding(), breaker.guarding():  # it has answered
        pass


def test_a_trial_that_fails_or_is_broken_off_ends_as_one(breaker: Breaker, clock: _Clock) -> None:
    _fail(breaker, clock, 1, TimeoutError())
    clock.now += 2
    _fail(breaker, clock, 1, TimeoutError())
    with pytest.raises(LeftAloneError), breaker.guarding():
        pass
    clock.now += 2
    with pytest.raises(KeyboardInterrupt), breaker.guarding():
        raise KeyboardInterrupt
    with breaker.guarding():  # the next one tries
        pass


@pytest.mark.parametrize(
    ("seconds", "error"), [(0.5, TimeoutError()), (9, FileNotFoundError()), (9, ValueError())]
)
def test_what_fails_at_once_or_answers_is_not_left_alone(
    breaker: Breaker, clock: _Clock, seconds: float, error: Exception
) -> None:
    _fail(breaker, clock, seconds, error)
    with breaker.guarding():
        pass
