"""Keys, as they are kept: without their secrets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, bindparam, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from viewfinder.errors import ConflictError
from viewfinder.storage.database import Transactions
from viewfinder.storage.tables import api_keys
from viewfinder.types import AccessScope


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key, without its secret.

    Attributes:
        id: 12 hexadecimal digits.
        name: What people call it; no two keys in use share one.
        digest: SHA-256 of the secret, as 64 hexadecimal digits.
        scopes: What its holder may do.
        requests: Requests within the window of the rate limit; None for what the settings say.
        created: When it was made.
        expires: From when on it does not count.
        revoked: When it was taken back.
        last_used: When it was last shown, to half a minute.
    """

    id: str
    name: str
    digest: str
    scopes: frozenset[AccessScope]
    requests: int | None
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    last_used: datetime | None = None


class ApiKeys:
    """The table of keys. Every method raises `DatabaseError` if the database cannot be used."""

    def __init__(self, database: Transactions) -> None:
        self._database = database

    async def add(self, key: ApiKey) -> None:
        """Keep a new key.

        Raises:
            ConflictError: A key in use has that name.
        """
        row = {field: getattr(key, field) for field in ApiKey.__slots__}
        row["scopes"] = " ".join(sorted(key.scopes))
        async with self._database.writing() as connection:
            try:
                await connection.execute(api_keys.insert().values(row))
            except IntegrityError as error:
                raise ConflictError(
                    f"there is a key {key.name} already: revoke it first, or take another name"
                ) from error

    async def all(self) -> tuple[ApiKey, ...]:
        """Every key there ever was, oldest first."""
        async with self._database.reading() as connection:
            rows = await connection.execute(
                select(api_keys).order_by(api_keys.c.created, api_keys.c.id)
            )
            return tuple(_key(row) for row in rows.mappings())

    async def valid(self, now: datetime) -> tuple[ApiKey, ...]:
        """The keys that are neither revoked nor expired."""
        lasts = or_(api_keys.c.expires.is_(None), api_keys.c.expires > now)
        async with self._database.reading() as connection:
            rows = await connection.execute(
                select(api_keys).where(api_keys.c.revoked.is_(None), lasts)
            )
            return tuple(_key(row) for row in rows.mappings())

    async def state(self) -> tuple[object, ...]:
        """A value that is another once a key is made or revoked, and costs little to look at."""
        created, revoked = api_keys.c.created, api_keys.c.revoked
        async with self._database.reading() as connection:
            rows = await connection.execute(
                select(
                    func.count(created), func.max(created), func.count(revoked), func.max(revoked)
                )
            )
            return tuple(rows.one())

    async def revoke(self, which: str, now: datetime) -> ApiKey | None:
        """Take back the key in use that has this id or name; None if there is none."""
        is_meant = or_(api_keys.c.id == which, api_keys.c.name == which)
        async with self._database.writing() as connection:
            rows = await connection.execute(
                update(api_keys)
                .where(is_meant, api_keys.c.revoked.is_(None))
                .values(revoked=now)
                .returning(api_keys)
            )
            row = rows.mappings().one_or_none()
        return None if row is None else _key(row)

    async def record_use(self, used: Mapping[str, datetime]) -> None:
        """Note when keys, by id, were last shown. A later time that is known already stays."""
        if not used:
            return
        when = bindparam("moment", type_=api_keys.c.last_used.type)
        statement = (
            update(api_keys)
            .where(api_keys.c.id == bindparam("which"))
            .where(or_(api_keys.c.last_used.is_(None), api_keys.c.last_used < when))
            .values(last_used=when)
        )
        # In one order, so that two processes at the same rows do not wait for each other.
        rows = [{"which": identifier, "moment": used[identifier]} for identifier in sorted(used)]
        async with self._database.writing() as connection:
            await connection.execute(statement, rows)


def _key(row: RowMapping) -> ApiKey:
    return ApiKey(**{**row, "scopes": frozenset(row["scopes"].split())})
