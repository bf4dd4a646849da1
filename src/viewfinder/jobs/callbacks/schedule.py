"""What becomes of a callback after an attempt, and when the next one is."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from viewfinder.storage.deliveries import DeliveryState

PAUSES_S = (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 72_000)
"""Seconds between two attempts, about 3 days in all: as Standard Webhooks proposes."""
_JITTER = 0.1
_LONGEST_RETRY_AFTER_S = 3600


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one call.

    Attributes:
        status: What was answered; None if nothing was.
        error: What went wrong, for whoever looks at the attempts.
        retry_after_s: Seconds after which the receiver wants to be called again.
    """

    status: int | None
    error: str | None = None
    retry_after_s: int | None = None


def judge(
    answer: Answer, made: int, now: datetime, jitter: float
) -> tuple[DeliveryState, datetime | None]:
    """What a callback is after an attempt, and when the next one is.

    Args:
        answer: What came of it.
        made: Attempts before this one.
        now: Now.
        jitter: 0-1, by which a pause is up to a tenth longer: those who failed together do not all
            come back together.
    """
    if answer.status is not None and HTTPStatus(200) <= answer.status < HTTPStatus(300):
        return "delivered", None
    if answer.status == HTTPStatus.GONE:
        return "refused", None
    if made >= len(PAUSES_S):
        return "expired", None
    pause = PAUSES_S[made] * (1 + _JITTER * jitter)
    asked = min(answer.retry_after_s or 0, _LONGEST_RETRY_AFTER_S)
    return "waiting", now + timedelta(seconds=max(pause, asked))
