"""When a call is sent again and when it is given up, by a clock of the test's own: no I/O."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from viewfinder.client import operations
from viewfinder.client.call import Answer, Call
from viewfinder.client.sending.retrying import Budget, Retries
from viewfinder.client.sending.talk import Heard, Send, Talk, Unheard, Wait
from viewfinder.errors import (
    ConflictError,
    DeadlineExceededError,
    IdempotencyInProgressError,
    InvalidImageError,
    OverloadedError,
    RateLimitedError,
    RemoteError,
    ServiceError,
    ViewfinderError,
)

CALL = Call("GET", "/x", lambda answer: answer.body)
STATUSES = {
    "overloaded": 503,
    "rate_limited": 429,
    "invalid_image": 422,
    "deadline_exceeded": 504,
    "idempotency_in_progress": 409,
    "conflict": 409,
    "internal_error": 500,
}
GOOD = Answer(200, {}, b"good")


def problem(code: str, **headers: str) -> Answer:
    """What a server says when it does not answer."""
    status = STATUSES[code]
    body = {"status": status, "code": code, "detail": "So it is.", "request_id": "r-1"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, named, json.dumps(body).encode())


def html(status: int) -> Answer:
    """What something else says."""
    return Answer(status, {}, b"<html>")


@dataclass
class Hearing:
    """Drives a talk by what is heard, and notes what it does; time passes only in its steps."""

    heard: Sequence[Heard]
    retries: Retries = field(default_factory=Retries)
    chance: float = 1.0
    each_try_s: float = 0.0
    now: float = 100.0
    sent: list[float] = field(default_factory=list)
    waited: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.budget = Budget(self.retries)
        self.talk = Talk(
            "http://here", self.retries, self.budget, lambda: self.now, lambda: self.chance
        )

    def tries(self, call: Call[Any] = CALL, timeout_s: float = 30.0) -> Any:
        return self.drive(self.talk.tries(_reading(call), self.talk.until(timeout_s)))

    def drive(self, steps: Any) -> Any:
        coming = iter(self.heard)
        heard: Heard = None
        while True:
            try:
                step = steps.send(heard)
            except StopIteration as ended:
                return ended.value
            heard = None
            if isinstance(step, Wait):
                self.waited.append(step.seconds)
                self.now += step.seconds
                continue
            assert isinstance(step, Send)
            self.sent.append(step.timeout_s)
            heard = next(coming)
            self.now += step.timeout_s if heard is Unheard.LATE else self.each_try_s


def _reading(call: Call[Any]) -> Call[Any]:
    """As every call reads what is no success."""
    parse = operations.live().parse
    return replace(call, parse=lambda answer: b"good" if answer.status == 200 else parse(answer))


@pytest.mark.parametrize(
    "passing",
    [
        Unheard.UNSENT,
        Unheard.BROKEN,
        problem("overloaded"),
        problem("rate_limited"),
        html(502),
        html(503),
        html(429),
    ],
    ids=str,
)
def test_what_may_pass_is_tried_again(passing: Heard) -> None:
    hearing = Hearing([passing, passing, passing, GOOD])
    assert hearing.tries() == b"good"
    assert hearing.waited == [0.1, 0.2, 0.4]


@pytest.mark.parametrize(
    ("lasting", "error"),
    [
        (problem("invalid_image"), InvalidImageError),
        (problem("conflict"), ConflictError),
        (problem("deadline_exceeded"), DeadlineExceededError),
        (problem("internal_error"), ServiceError),
        (problem("idempotency_in_progress"), IdempotencyInProgressError),
        (html(404), RemoteError),
        (html(301), RemoteError),
        (html(504), RemoteError),
        (Answer(200, {}, b"good"), None),
        (Unheard.UNPROVED, RemoteError),
    ],
    ids=str,
)
def test_what_will_not_pass_is_not(lasting: Heard, error: type[ViewfinderError] | None) -> None:
    hearing = Hearing([lasting])
    if error is None:
        hearing.tries()
    else:
        with pytest.raises(error):
            hearing.tries()
    assert len(hearing.sent) == 1


def test_a_call_with_a_key_waits_for_its_twin() -> None:
    hearing = Hearing([problem("idempotency_in_progress", retry_after="1"), GOOD])
    assert hearing.tries(replace(CALL, headers={"Idempotency-Key": "k"})) == b"good"
    hearing = Hearing([problem("conflict")])
    with pytest.raises(ConflictError):
        hearing.tries(replace(CALL, headers={"Idempotency-Key": "k"}))


def test_what_must_not_be_done_twice_is_sent_again_only_if_it_was_not_sent() -> None:
    assert Hearing([Unheard.UNSENT, GOOD]).tries(operations.cancel("x")) == b"good"
    for heard in (Unheard.BROKEN, problem("overloaded"), html(502)):
        hearing = Hearing([heard])
        with pytest.raises(ViewfinderError):
            hearing.tries(operations.cancel("x"))
        assert len(hearing.sent) == 1


def test_which_calls_are_not_repeated_is_known() -> None:
    made: list[Call[Any]] = [
        operations.cancel("x"),
        operations.job("x"),
        operations.models(),
        operations.rollback("m", "key"),
        operations.set_alias("m", "a", 1),
        operations.feedback("r", "l", None),
    ]
    assert [call.repeatable for call in made] == [False] + [True] * 5


def test_the_wait_is_random_and_doubles_up_to_a_longest() -> None:
    retries = Retries(attempts=8, backoff_s=1.0, longest_s=10.0)
    hearing = Hearing([Unheard.UNSENT] * 7 + [GOOD], retries, chance=0.5)
    hearing.tries(timeout_s=1000)
    assert hearing.waited == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]


def test_the_servers_word_is_waited_for_and_a_little_more() -> None:
    hearing = Hearing([problem("rate_limited", retry_after="17"), GOOD], chance=0.5)
    hearing.tries()
    assert hearing.waited == [17.05]


@pytest.mark.parametrize("word", ["soon", "-3", "1.5", "\u0663", ""])
def test_a_word_that_is_no_number_of_seconds_is_none(word: str) -> None:
    hearing = Hearing([problem("rate_limited", retry_after=word), GOOD])
    hearing.tries()
    assert hearing.waited == [0.1]


def test_the_last_try_says_what_was_wrong() -> None:
    hearing = Hearing([problem("overloaded", retry_after="1")] * 4)
    with pytest.raises(OverloadedError, match="So it is") as caught:
        hearing.tries()
    assert len(hearing.sent) == 4
    assert caught.value.retry_after_s == 1
    assert (caught.value.status, caught.value.request_id) == (503, "r-1")


def test_nothing_is_waited_for_past_the_deadline() -> None:
    hearing = Hearing([problem("rate_limited", retry_after="30")])
    with pytest.raises(RateLimitedError):
        hearing.tries(timeout_s=30)
    assert hearing.waited == []


def test_each_try_gets_what_is_left() -> None:
    hearing = Hearing([Unheard.UNSENT, Unheard.UNSENT, GOOD], each_try_s=2.0)
    hearing.tries(timeout_s=10)
    assert hearing.sent == pytest.approx([10, 7.9, 5.7])


def test_a_try_that_takes_all_that_is_left_ends_it() -> None:
    hearing = Hearing([Unheard.UNSENT, Unheard.LATE])
    with pytest.raises(DeadlineExceededError, match="within 5 s") as caught:
        hearing.tries(timeout_s=5)
    assert caught.value.code == "deadline_exceeded"
    assert hearing.now == pytest.approx(105)


def test_a_try_of_its_own_length_may_be_followed_by_another() -> None:
    hearing = Hearing([Unheard.LATE, Unheard.LATE, GOOD], Retries(try_s=2.0))
    assert hearing.tries(timeout_s=10) == b"good"
    assert hearing.sent == [2.0, 2.0, 2.0]
    hearing = Hearing([Unheard.LATE] * 9, Retries(attempts=9, try_s=2.0, backoff_s=0))
    with pytest.raises(DeadlineExceededError):
        hearing.tries(timeout_s=5)
    assert hearing.sent == [2.0, 2.0, 1.0]


def test_a_broken_server_gets_a_tenth_more_and_no_storm() -> None:
    hearing = Hearing([problem("overloaded")] * 10_000)
    for _ in range(1000):
        with pytest.raises(OverloadedError):
            hearing.tries()
        hearing.heard = hearing.heard[:]
    retried = len(hearing.sent) - 1000
    assert retried == 10 + 100 - 1  # the reserve is full when the first call earns


def test_calls_that_go_well_earn_retries_but_not_without_end() -> None:
    hearing = Hearing([problem("overloaded")] * 4, Retries(reserve=2.0, budget=0.5))
    with pytest.raises(OverloadedError):
        hearing.tries()
    assert len(hearing.sent) == 3
    for _ in range(100):
        hearing.heard = [GOOD]
        hearing.tries()
    hearing.heard, before = [problem("overloaded")] * 4, len(hearing.sent)
    with pytest.raises(OverloadedError):
        hearing.tries()
    assert len(hearing.sent) - before == 3


def test_the_patient_ask_as_often_as_the_server_says() -> None:
    told = problem("overloaded", retry_after="5")
    retries = Retries(attempts=2, budget=0.0, reserve=1.0, patient=True, backoff_s=0.0)
    hearing = Hearing([*[told] * 100, problem("deadline_exceeded"), GOOD], retries)
    assert hearing.tries(timeout_s=3600) == b"good"
    assert hearing.waited == [5.0] * 100 + [0.0]
    hearing = Hearing([told] * 100, retries)
    with pytest.raises(OverloadedError):
        hearing.tries(timeout_s=60)
    assert hearing.now < 160


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"budget": -1},
        {"backoff_s": -1},
        {"longest_s": -1},
        {"reserve": -1},
        {"try_s": 0},
    ],
)
def test_retries_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Retries(**wrong)


def job(state: str) -> Answer:
    """A job, as a server shows it."""
    told = {
        "id": "j",
        "created": "2026-01-01T00:00:00Z",
        "started": None,
        "finished": None,
        "state": state,
        "model": {"name": "m", "version": 1},
        "counts": {"total": 1, "succeeded": 0, "failed": 0, "waiting": 1},
        "error": None,
        "key_id": None,
        "callback": None,
    }
    return Answer(200, {}, json.dumps(told).encode())


def wait(hearing: Hearing, timeout_s: float, each_s: float = 30.0) -> Any:
    """Wait for a job."""
    deadline = hearing.talk.until(timeout_s)
    return hearing.drive(hearing.talk.finished(operations.job("j"), deadline, each_s))


def test_a_job_is_looked_at_less_and_less_often() -> None:
    hearing = Hearing([job("queued"), *[job("running")] * 12, job("failed")])
    assert wait(hearing, 3600).state == "failed"
    assert hearing.waited[:3] == pytest.approx([0.1, 0.15, 0.225])
    assert hearing.waited[-1] == 5.0


def test_a_job_that_is_not_over_in_time_goes_on() -> None:
    hearing = Hearing([job("running")] * 100)
    with pytest.raises(DeadlineExceededError, match="it goes on"):
        wait(hearing, 10)
    assert hearing.now < 110


def test_a_server_that_goes_away_is_waited_for_once_the_job_is_known() -> None:
    away = [Unheard.UNSENT] * 8
    retries = Retries(budget=1.0)
    hearing = Hearing([job("running"), *away, job("succeeded")], retries)
    assert wait(hearing, 60).state == "succeeded"
    with pytest.raises(RemoteError):
        wait(Hearing(away, retries), 60)
    with pytest.raises(DeadlineExceededError):
        wait(Hearing([job("running"), *[Unheard.UNSENT] * 1000], retries), 10)
