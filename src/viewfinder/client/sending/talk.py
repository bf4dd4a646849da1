"""What is sent, when it is sent again, and when it is given up: all of it without I/O.

A talk is a generator of steps. Whoever drives it does what a step says, and sends back what came of
it; `Client` and `AsyncClient` are two such drivers.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, TypeAlias

from viewfinder.client.answers.jobs import Job
from viewfinder.client.call import KEY_HEADER, Answer, Call, T
from viewfinder.client.sending.retrying import Budget, Retries
from viewfinder.errors import DeadlineExceededError, RemoteError, ServiceError, ViewfinderError

_PASSING = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
_FIRST_POLL_S, _LONGEST_POLL_S, _POLL_GROWTH = 0.1, 5.0, 1.5


class Unheard(Enum):
    """Why no answer came."""

    UNSENT = "no connection"
    UNPROVED = "no TLS"
    BROKEN = "broken off"
    LATE = "too late"


@dataclass(frozen=True, slots=True)
class Send:
    """Send a call, and bring its answer; give up after so many seconds."""

    call: Call[Any]
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Let so many seconds pass."""

    seconds: float


Heard: TypeAlias = Answer | Unheard | None
Steps: TypeAlias = Generator[Send | Wait, Heard, T]


@dataclass(frozen=True, slots=True)
class Deadline:
    """Until when a call is to be done.

    Attributes:
        at: On the clock of the talk.
        seconds: How long that was when the call began.
    """

    at: float
    seconds: float

    @property
    def passed(self) -> DeadlineExceededError:
        """What to say when it has passed."""
        return DeadlineExceededError(
            f"No answer came within {self.seconds:g} s; allow more with timeout_s, or look at how "
            "the server is with ready()."
        )


@dataclass(frozen=True, slots=True)
class Talk:
    """How to talk to one server.

    Attributes:
        url: Where it is.
        retries: When to try again.
        budget: How often that may still be.
        clock: Seconds, as of `time.monotonic`.
        random: A number of 0-1, another one each time.
    """

    url: str
    retries: Retries
    budget: Budget
    clock: Callable[[], float]
    random: Callable[[], float]

    def until(self, seconds: float) -> Deadline:
        """The deadline of a call that begins now."""
        return Deadline(self.clock() + seconds, seconds)

    def tries(self, call: Call[T], deadline: Deadline) -> Steps[T]:
        """Send a call until it is answered, or is given up.

        Raises:
            ViewfinderError: What the server says in place of an answer.
            RemoteError: There is no server, or it is none of Viewfinder's.
            DeadlineExceededError: The deadline has passed.
        """
        self.budget.earn()
        failed = 0
        while True:
            left = deadline.at - self.clock()
            if left <= 0:
                raise deadline.passed
            seconds = left if self.retries.try_s is None else min(left, self.retries.try_s)
            heard = yield Send(call, seconds)
            if isinstance(heard, Answer) and not self._is_passing(heard, call):
                return call.parse(heard)
            if heard is Unheard.LATE and seconds == left:
                raise deadline.passed
            asked = heard.retry_after_s if isinstance(heard, Answer) else None
            is_free = self.retries.patient and asked is not None
            failed += not is_free
            wait = self.retries.backoff(max(failed, 1), self.random()) + (asked or 0)
            if not (
                _may_go_again(heard, call)
                and (is_free or failed < self.retries.attempts)
                and self.clock() + wait < deadline.at
                and (is_free or self.budget.spend())
            ):
                if isinstance(heard, Answer):
                    return call.parse(heard)
                raise self._given_up(heard)
            yield Wait(wait)

    def finished(self, call: Call[Job], deadline: Deadline, each_s: float) -> Steps[Job]:
        """Ask for a job again and again until it is over.

        A server that is away meanwhile is waited for too, once it has been heard of the job.

        Args:
            call: How to ask for it.
            deadline: When to give up; the job goes on.
            each_s: Seconds for one look, its retries included.

        Raises:
            DeadlineExceededError: It is not over.
            ViewfinderError: See `tries`.
        """
        pause, is_known = _FIRST_POLL_S, False
        while True:
            look = self.until(min(each_s, max(0.0, deadline.at - self.clock())))
            try:
                job = yield from self.tries(call, look)
                if job.is_over:
                    return job
                is_known = True
            except (RemoteError, ServiceError) as error:
                if not is_known or self.clock() >= deadline.at:
                    raise self._not_over(error, deadline) from error
            wait = pause * (1 + self.random()) / 2
            if self.clock() + wait >= deadline.at:
                raise DeadlineExceededError(
                    f"The job is not over after {deadline.seconds:g} s; it goes on, and can be "
                    "waited for again."
                )
            yield Wait(wait)
            pause = min(_LONGEST_POLL_S, pause * _POLL_GROWTH)

    def _is_passing(self, answer: Answer, call: Call[Any]) -> bool:
        """Whether an answer means "not now"."""
        if not call.waits:
            return False
        if answer.status == HTTPStatus.CONFLICT and KEY_HEADER in call.headers:
            problem = answer.problem
            return problem is not None and problem.code == "idempotency_in_progress"
        if answer.status == HTTPStatus.GATEWAY_TIMEOUT:
            return self.retries.patient
        return answer.status in _PASSING

    def _not_over(self, error: ViewfinderError, deadline: Deadline) -> ViewfinderError:
        return deadline.passed if self.clock() >= deadline.at else error

    def _given_up(self, heard: Unheard | None) -> RemoteError:
        match heard:
            case Unheard.UNSENT:
                told = f"no server can be reached at {self.url}; start it, or check the address"
            case Unheard.UNPROVED:
                told = (
                    f"there is no secure connection to {self.url}: its certificate does not count, "
                    "or it does not speak TLS; check the address, or give its authority as verify"
                )
            case Unheard.LATE:
                told = f"the server at {self.url} does not answer; look at its log"
            case _:
                told = f"the server at {self.url} hung up without an answer; look at its log"
        return RemoteError(told)


def _may_go_again(heard: Heard, call: Call[Any]) -> bool:
    if heard is Unheard.UNPROVED:
        return False
    return call.repeatable or heard is Unheard.UNSENT
