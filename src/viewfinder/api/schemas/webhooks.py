"""What the API says of callbacks."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class CallbackAttempt(BaseModel):
    """One call."""

    at: datetime
    seconds: float = Field(description="How long it took.")
    status: int | None = Field(description="What was answered; null if nothing was.")
    error: str | None = Field(description="What went wrong, where the status does not say it.")


class CallbackAnswer(BaseModel):
    """Whom a job tells when it is over, and how that stands."""

    id: str | None = Field(
        None,
        description="What its header `webhook-id` says, in every attempt; null until the job is "
        "over, and in a list of jobs.",
    )
    url: str = Field(description="Who is called.")
    state: Literal["waiting", "delivered", "refused", "expired"] | None = Field(
        None,
        description="`refused`: answered 410; `expired`: given up after about three days; null "
        "where `id` is.",
    )
    attempts: list[CallbackAttempt] = Field([], description="Oldest first.")
    next_attempt: datetime | None = Field(None, description="Null where there will be none.")


class SecretAnswer(BaseModel):
    """What callbacks are signed with."""

    secret: str = Field(
        description="`whsec_` and base64, as libraries of Standard Webhooks take it."
    )
    created: datetime
    previous_until: datetime | None = Field(
        description="Until when callbacks are signed with the secret before this one too."
    )
