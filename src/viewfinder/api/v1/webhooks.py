"""`/v1/webhooks`: the secret by which a receiver knows that a callback is from here."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response

from viewfinder.api.schemas.webhooks import SecretAnswer
from viewfinder.api.services import ServicesDep, owner_of
from viewfinder.storage.opening import open_secrets

if TYPE_CHECKING:
    from viewfinder.storage.secrets import WebhookSecret

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

_NOBODY_KEEPS_IT = {"Cache-Control": "no-store"}


@router.get("/secret")
async def show_secret(request: Request, response: Response, services: ServicesDep) -> SecretAnswer:
    """What callbacks of the caller's jobs are signed with; each key has a secret of its own."""
    response.headers.update(_NOBODY_KEEPS_IT)
    secrets = await open_secrets(services.database)
    now = datetime.now(UTC)
    return _answer(await secrets.of(owner_of(request.scope), now), now)


@router.post("/secret/rotate")
async def rotate_secret(
    request: Request, response: Response, services: ServicesDep
) -> SecretAnswer:
    """Make another; for 24 hours callbacks are signed with the one before too."""
    response.headers.update(_NOBODY_KEEPS_IT)
    secrets = await open_secrets(services.database)
    now = datetime.now(UTC)
    return _answer(await secrets.rotate(owner_of(request.scope), now), now)


def _answer(found: "WebhookSecret", now: datetime) -> SecretAnswer:
    is_over = found.previous_until is None or found.previous_until <= now
    return SecretAnswer(
        secret=found.secret,
        created=found.created,
        previous_until=None if is_over else found.previous_until,
    )
