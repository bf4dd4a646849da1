"""What the API says of the callback of a job."""

from typing import TYPE_CHECKING

from viewfinder.api.schemas.webhooks import CallbackAnswer, CallbackAttempt
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.opening import open_deliveries

if TYPE_CHECKING:
    from viewfinder.storage.deliveries import Attempt, Delivery


async def callback_of(database: DatabaseLink, job: str) -> CallbackAnswer | None:
    """How the callback of a job stands; None as long as there is nothing to tell, or nobody to.

    Raises:
        DatabaseError: The database cannot be read.
    """
    found = await (await open_deliveries(database)).of_job(job)
    return answer_of(*found[-1]) if found else None


def answer_of(delivery: "Delivery", attempts: "tuple[Attempt, ...]") -> CallbackAnswer:
    """One callback, as it is shown."""
    return CallbackAnswer(
        id=delivery.id,
        url=delivery.url,
        state=delivery.state,
        attempts=[
            CallbackAttempt(
                at=attempt.began,
                seconds=attempt.seconds,
                status=attempt.status,
                error=attempt.error,
            )
            for attempt in attempts
        ],
        next_attempt=delivery.due,
    )
