"""All valid keys in memory: no request touches the disk, or waits for a database."""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from viewfinder.access.bootstrap import BootstrapKey
from viewfinder.access.keys import digest_of, holder_of, parse_token, same
from viewfinder.errors import DatabaseError
from viewfinder.storage.keys import ApiKey, ApiKeys
from viewfinder.types import Principal

logger = logging.getLogger(__name__)

_FLUSH_S = 30.0


@dataclass(frozen=True, slots=True)
class _Entry:
    digest: str
    expires: float | None
    principal: Principal


class Keyring:
    """A snapshot of the keys, replaced whole every few seconds.

    A database that goes away leaves the last snapshot: keys go on to count, and those that expire
    stop. One that is away at the start is waited for. When keys were used is gathered here and
    written now and then.

    Args:
        keys: The table.
        bootstrap: The key in a file, if there is one.
        refresh_s: Seconds between two looks at both.
        clock: Seconds since 1970.

    Attributes:
        is_known: Whether there has ever been a snapshot; before that, no key counts.
        is_away: Whether the last look at the database has failed.
    """

    def __init__(
        self,
        keys: ApiKeys,
        *,
        bootstrap: BootstrapKey | None = None,
        refresh_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._bootstrap = bootstrap
        self._refresh_s = refresh_s
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._state: object = None
        self._used: dict[str, float] = {}
        self._flushed = clock()
        self.is_known = self.is_away = False
        self._following: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many keys the database has that count."""
        return len(self._entries)

    async def start(self) -> None:
        """Take the first snapshot, and follow what changes.

        Raises:
            DatabaseError: The database cannot be read, and that will not pass by itself.
            SettingsError: The bootstrap key file cannot be read, or holds no key.
        """
        try:
            await self.load()
        except DatabaseError as error:
            if not error.may_pass:
                raise
            self._note_absence(error)
        self._following = asyncio.create_task(self._follow())

    async def load(self) -> None:
        """Take a snapshot.

        Raises:
            DatabaseError: The database cannot be read.
            SettingsError: The bootstrap key file cannot be read, or holds no key.
        """
        if self._bootstrap is not None:
            self._bootstrap.read()
        await self._snapshot()

    async def close(self) -> None:
        """Stop following, and write down what was used."""
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following
        with suppress(DatabaseError):
            await self._flush()

    def find(self, token: str) -> Principal | None:
        """Who shows this token; None if it does not count."""
        parsed = parse_token(token)
        if parsed is not None:
            entry = self._entries.get(parsed.id)
            if entry is not None and same(entry.digest, digest_of(parsed.secret)):
                now = self._clock()
                if entry.expires is not None and entry.expires <= now:
                    return None
                self._used[parsed.id] = now
                return entry.principal
        return self._bootstrap.find(token) if self._bootstrap is not None else None

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._refresh_s)
            try:
                await self._refresh()
            except Exception:
                logger.exception("the keys could not be looked at")

    async def _refresh(self) -> None:
        if self._bootstrap is not None:
            await asyncio.to_thread(self._bootstrap.refresh)
        try:
            await self._snapshot()
            if self._clock() - self._flushed >= _FLUSH_S:
                await self._flush()
        except DatabaseError as error:
            self._note_absence(error)
            return
        if self.is_away:
            logger.info("the keys can be looked at again")
        self.is_away = False

    def _note_absence(self, error: DatabaseError) -> None:
        if not self.is_away:
            logger.warning(
                "%s; %s",
                error.detail,
                "the keys known so far go on to count" if self.is_known else "no key is known yet",
            )
        self.is_away = True
        self._state = None  # what comes back may be another database that looks the same

    async def _snapshot(self) -> None:
        # Reading a thousand keys holds up the event loop for 10 ms: only where there is news.
        state = await self._keys.state()
        if state == self._state:
            return
        now = datetime.fromtimestamp(self._clock(), UTC)
        self._entries = {key.id: _entry(key) for key in await self._keys.valid(now)}
        self._state = state
        self.is_known = True

    async def _flush(self) -> None:
        used, self._used = self._used, {}
        try:
            await self._keys.record_use(
                {key: datetime.fromtimestamp(when, UTC) for key, when in used.items()}
            )
        except BaseException:
            self._used = used | self._used
            raise
        self._flushed = self._clock()


def _entry(key: ApiKey) -> _Entry:
    return _Entry(
        key.digest,
        key.expires.timestamp() if key.expires is not None else None,
        Principal(holder_of(key), key.scopes, key.requests),
    )
