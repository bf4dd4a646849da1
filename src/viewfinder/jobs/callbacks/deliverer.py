"""Callbacks that are due, sent several side by side, and what came of them recorded."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import uuid_utils

from viewfinder.errors import (
    DatabaseError,
    ViewfinderError,
)
from viewfinder.jobs.callbacks.schedule import Answer, judge
from viewfinder.jobs.callbacks.sender import Sender
from viewfinder.net.client import CONNECTIONS
from viewfinder.settings import Settings
from viewfinder.storage.database import Database
from viewfinder.storage.deliveries import Attempt, Deliveries, Delivery
from viewfinder.storage.link import DatabaseLink
from viewfinder.storage.secrets import WebhookSecrets
from viewfinder.telemetry.tracing import trace

logger = logging.getLogger(__name__)
# A host that answers slowly holds this many lines at most, and as many as one claim brings besides.
_OF_ONE_HOST = 4
_CLAIMED = 4
# What is sent in this time and not recorded is sent again by another.
_LEASE_BEYOND_S = 30.0
_LOOK_S = 1.0
_AWAY_S, _LONGEST_AWAY_S = 1.0, 30.0
_COMPLAIN_S = 60.0
_GRACE_S = 2.0


class Deliverer:
    """Sends what is due, several side by side, for as long as the process lives.

    Any number of processes may do so at once: each claims what it sends. One that dies in between
    has perhaps sent, and not recorded that; then it is sent again, under the same id.

    Args:
        link: Where callbacks are kept.
        settings: The options.
        clock: What time it is.
        dice: A number from 0 to 1, another each time.
        attempts: Calls, by what the callback is afterwards.
    """

    def __init__(
        self,
        link: DatabaseLink,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        dice: Callable[[], float] = random.random,
        attempts: Counter[str] | None = None,
    ) -> None:
        self._link = link
        self._clock = clock
        self._dice = dice
        self._attempts = Counter() if attempts is None else attempts
        self._lease_s = settings.webhooks.timeout_s + _LEASE_BEYOND_S
        self._sender = Sender(settings.webhooks)
        self._sending: dict[asyncio.Task[None], str] = {}
        self._running: asyncio.Task[None] | None = None
        self._stop: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._complained = -_COMPLAIN_S

    def start(self) -> None:
        """Begin to look for what is due."""
        self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Take nothing more, wait a little for the calls under way, and end those that remain.

        What is ended so is sent again by whoever comes next.
        """
        # Nobody is cancelled in the middle of a transaction who can end by himself.
        if not self._stop.done():
            self._stop.set_result(None)
        if self._running is not None:
            await _ended(self._running)
        await _ended(*self._sending)
        await self._sender.close()

    async def deliver(self) -> None:
        """Send everything that is due now, and wait for the last answer.

        Raises:
            DatabaseError: The database cannot be used.
        """
        await self._claim_all()
        while self._sending:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            await self._claim_all()

    async def _run(self) -> None:
        away_s = _AWAY_S
        while not self._stop.done():
            try:
                await self._claim_all()
            except ViewfinderError as error:
                self._complain(error)
                await self._rest(away_s)
                away_s = min(2 * away_s, _LONGEST_AWAY_S)
            except Exception:
                logger.exception("callbacks could not be looked for")
                await self._rest(_LONGEST_AWAY_S)
            else:
                away_s = _AWAY_S
                # A line that is free again may be what something due has waited for.
                await self._rest(_LOOK_S, *self._sending)

    async def _rest(self, seconds: float, *until: asyncio.Task[None]) -> None:
        """For so long, or until one of those has ended, or the end of all this."""
        await asyncio.wait(
            {self._stop, *until}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
        )

    async def _claim_all(self) -> None:
        """Begin to send what is due, as far as there are free lines for it."""
        while await self._claim():
            pass

    async def _claim(self) -> bool:
        """Begin to send some of what is due; whether there was any."""
        free = CONNECTIONS - len(self._sending)
        if free <= 0 or self._stop.done():
            return False
        token = str(uuid_utils.uuid7())
        lines = Counter(self._sending.values())
        database = await self._link.open()
        claimed = await Deliveries(database).claim(
            self._clock(),
            self._lease_s,
            token,
            min(free, _CLAIMED),
            busy=[origin for origin, count in lines.items() if count >= _OF_ONE_HOST],
        )
        for delivery in claimed:
            task = asyncio.create_task(self._deliver(database, delivery, token))
            self._sending[task] = _origin(delivery.url)
            task.add_done_callback(self._sending.pop)
        return bool(claimed)

    async def _deliver(self, database: Database, delivery: Delivery, token: str) -> None:
        try:
            began, start = self._clock(), time.monotonic()
            with trace("deliver", {"viewfinder.attempt": delivery.attempts + 1}):
                secret = await WebhookSecrets(database).of(delivery.owner, began)
                answer = await self._sender.send(delivery, secret.at(began), began)
                attempt = Attempt(began, time.monotonic() - start, answer.status, answer.error)
                await self._record(Deliveries(database), delivery, token, answer, attempt)
        except DatabaseError as error:
            self._complain(error)  # another, or this one, sends it when the lease is over
        except Exception:
            logger.exception("the callback %s was not seen through", delivery.id)

    async def _record(
        self,
        deliveries: Deliveries,
        delivery: Delivery,
        token: str,
        answer: Answer,
        attempt: Attempt,
    ) -> None:
        """Keep what came of it; where the database is away, try for as long as the lease lasts.

        Raises:
            DatabaseError: It was away all that time.
        """
        patience = time.monotonic() + _LEASE_BEYOND_S
        while True:
            now = self._clock()
            outcome, due = judge(answer, delivery.attempts, now, self._dice())
            try:
                await deliveries.record(delivery, token, attempt, outcome, next_due=due, now=now)
            except DatabaseError as error:
                if time.monotonic() + _AWAY_S > patience:
                    raise
                self._complain(error)
                await asyncio.sleep(_AWAY_S)
            else:
                break
        self._attempts[outcome] += 1
        if outcome == "expired":
            logger.warning("the callback %s is given up: nobody took it", delivery.id)

    def _complain(self, error: ViewfinderError) -> None:
        """Once a minute."""
        now = time.monotonic()
        if now - self._complained >= _COMPLAIN_S:
            self._complained = now
            logger.warning("callbacks wait: %s", error.detail)


def _origin(url: str) -> str:
    """The beginning of a URL, as it was given: scheme, host and port."""
    scheme, mark, rest = url.partition("://")
    return scheme + mark + rest.partition("/")[0]


async def _ended(*tasks: asyncio.Task[None]) -> None:
    """Wait for the end of tasks, and not for long."""
    if not tasks:
        return
    _, late = await asyncio.wait(tasks, timeout=_GRACE_S)
    for task in late:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
