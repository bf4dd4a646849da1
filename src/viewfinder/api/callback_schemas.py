"""What the API says of callbacks."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

CallbackState = Literal["waiting", "delivered", "refused", "expired"]


class CallbackAttempt(BaseModel):
    """One call."""

    at: datetime
    seconds: float
    status: int | None = Field(description="What was answered; null if nothing was.")
    error: str | None = Field(description="What went wrong, where the status does not say it.")


class SecretAnswer(BaseModel):
    """What callbacks are signed with."""

    secret: str = Field(
        description="`whsec_` and base64, as libraries of Standard Webhooks take it."
    )
    created: datetime
    previous_until: datetime | None = Field(
        description="Until when callbacks are signed with the secret before this one too."
    )
