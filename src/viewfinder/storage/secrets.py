"""What callbacks are signed with: a secret for each key, known to its holder and to the server."""

import base64
import contextlib
import secrets as random
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from viewfinder.storage.database import Database
from viewfinder.storage.tables import webhook_secrets

NOBODY = ""
"""The owner that stands for all who need no key."""

OVERLAP = timedelta(hours=24)
"""How long a secret that was replaced is signed with too."""

_BYTES = 32
_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """The secrets of one owner, in the form of Standard Webhooks: `whsec_` and base64.

    Attributes:
        secret: The one that counts.
        created: When it was made.
        previous: The one before; None if there was none.
        previous_until: Until when callbacks are signed with that one too.
    """

    secret: str
    created: datetime
    previous: str | None = None
    previous_until: datetime | None = None

    def at(self, now: datetime) -> tuple[str, ...]:
        """Those to sign with: the newest, and for some time after a rotation the one before."""
        if self.previous is None or self.previous_until is None or self.previous_until <= now:
            return (self.secret,)
        return (self.secret, self.previous)


class WebhookSecrets:
    """The table of secrets. Every method raises `DatabaseError` if the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, owner: str | None, now: datetime) -> WebhookSecret:
        """The secret of an owner; made when it is first asked for, the same for all who ask.

        Args:
            owner: The id of a key; None where none is asked for.
            now: Now.
        """
        named = owner or NOBODY
        async with self._database.reading() as connection:
            found = await _find(connection, named)
        if found is None:
            async with self._database.writing() as connection:
                found, _ = await _find_or_make(connection, named, now)
        return found

    async def rotate(self, owner: str | None, now: datetime) -> WebhookSecret:
        """Make another; the one before is signed with too for a day. One before that is not."""
        named = owner or NOBODY
        async with self._database.writing() as connection:
            found, is_new = await _find_or_make(connection, named, now)
            if is_new:
                return found
            rows = await connection.execute(
                update(webhook_secrets)
                .where(webhook_secrets.c.owner == named)
                .values(
                    secret=_make(),
                    created=now,
                    previous=webhook_secrets.c.secret,  # as it was before this statement
                    previous_until=now + OVERLAP,
                )
                .returning(webhook_secrets)
            )
            return _secret(rows.mappings().one())


async def _find(connection: AsyncConnection, owner: str) -> WebhookSecret | None:
    rows = await connection.execute(select(webhook_secrets).where(webhook_secrets.c.owner == owner))
    row = rows.mappings().one_or_none()
    return None if row is None else _secret(row)


async def _find_or_make(
    connection: AsyncConnection, owner: str, now: datetime
) -> tuple[WebhookSecret, bool]:
    """The secret, and whether it was made here. Of two at once, one makes it."""
    found = await _find(connection, owner)
    if found is not None:
        return found, False
    made = WebhookSecret(_make(), now)
    new = webhook_secrets.insert().values(owner=owner, secret=made.secret, created=now)
    with contextlib.suppress(IntegrityError):
        async with connection.begin_nested():
            await connection.execute(new)
        return made, True
    rows = await connection.execute(select(webhook_secrets).where(webhook_secrets.c.owner == owner))
    return _secret(rows.mappings().one()), False


def _make() -> str:
    return _PREFIX + base64.b64encode(random.token_bytes(_BYTES)).decode()


def _secret(row: RowMapping) -> WebhookSecret:
    return WebhookSecret(**{name: row[name] for name in WebhookSecret.__slots__})
